//! The walk: breadth first over all states, then backwards, to see from where the step can move.
//!
//! A law that is broken is reported with the shortest way to it. A walk may be bounded: then it
//! sees what can happen within so many events, and claims nothing of what only comes later.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::key::key;
use super::sometimes::{Hits, Sometimes};
use super::world::{Event, World};

/// What a walk saw.
pub(super) struct Found {
    pub(super) hits: Hits,
    states: usize,
    transitions: usize,
    depth: u32,
    /// States that were met and not gone on from.
    left: usize,
}

/// A state that was met: how, and what is known of it.
struct Node {
    came: Option<(u32, Event)>,
    depth: u32,
    must_hang: bool,
    /// The step moves with one more event that is no fault.
    can_advance: bool,
}

/// Walks through all states, or those that `bound` events lead to; panics at the first law that is
/// broken.
#[track_caller]
pub(super) fn explore(start: World, bound: Option<u32>) -> Found {
    let mut walk = Walk::default();
    walk.meet(&start, None, 0);
    let mut todo = VecDeque::from([start]);
    let mut number = 0;
    while let Some(world) = todo.pop_front() {
        if bound == Some(walk.nodes[number as usize].depth) {
            break; // All that are left to do are as far away.
        }
        if let Err((broken, event)) = walk.visit(&world, number, &mut todo) {
            panic!("{broken}\n{}\n{:#?}", walk.way(number, event), world.engine);
        }
        number += 1;
    }
    walk.liveness(number);
    let left = walk.nodes.len() - number as usize;
    let depth = walk.nodes.iter().map(|node| node.depth).max().unwrap_or(0);
    let (states, transitions) = (walk.nodes.len(), walk.transitions);
    Found { hits: walk.hits, states, transitions, depth, left }
}

#[derive(Default)]
struct Walk {
    known: HashMap<Box<[u8]>, u32>,
    nodes: Vec<Node>,
    /// From and to, faults left out.
    edges: Vec<(u32, u32)>,
    transitions: usize,
    hits: Hits,
}

impl Walk {
    /// Tries everything that can happen in a state.
    fn visit(
        &mut self,
        world: &World,
        number: u32,
        todo: &mut VecDeque<World>,
    ) -> Result<(), (String, Option<Event>)> {
        world.repetitions(&mut self.hits).map_err(|broken| (broken, None))?;
        world.stops(&mut self.hits).map_err(|broken| (broken, None))?;
        let depth = self.nodes[number as usize].depth + 1;
        for event in world.events() {
            let mut next = world.clone();
            let advanced = next.happen(event, &mut self.hits);
            let advanced = advanced.map_err(|broken| (broken, Some(event)))?;
            self.transitions += 1;
            let (to, new) = self.meet(&next, Some((number, event)), depth);
            if !world.is_fault(event) {
                self.edges.push((number, to));
                self.nodes[number as usize].can_advance |= advanced;
            }
            if new {
                todo.push_back(next);
            }
        }
        Ok(())
    }

    /// The number of a state, and whether it is a new one.
    fn meet(&mut self, world: &World, came: Option<(u32, Event)>, depth: u32) -> (u32, bool) {
        let number = self.nodes.len() as u32;
        let known = *self.known.entry(key(world)).or_insert(number);
        if known == number {
            let must_hang = world.must_hang();
            self.nodes.push(Node { came, depth, must_hang, can_advance: false });
        }
        (known, known == number)
    }

    /// L-1, L-2: once faults stop, the step can move from everywhere, save where the hang law says
    /// that it stands. What happens after the states from `left` on is not known.
    #[track_caller]
    fn liveness(&mut self, left: u32) {
        let mut into: Vec<Vec<u32>> = vec![Vec::new(); self.nodes.len()];
        for &(from, to) in &self.edges {
            into[to as usize].push(from);
        }
        for node in &mut self.nodes[left as usize..] {
            node.can_advance = !node.must_hang;
        }
        let advancing = (0_u32..).zip(&self.nodes).filter(|(_, node)| node.can_advance);
        let mut todo: Vec<u32> = advancing.map(|(number, _)| number).collect();
        while let Some(number) = todo.pop() {
            for &from in &into[number as usize] {
                if !std::mem::replace(&mut self.nodes[from as usize].can_advance, true) {
                    todo.push(from);
                }
            }
        }
        for (number, node) in (0_u32..).zip(&self.nodes) {
            self.hits.hit(Sometimes::Hang, u64::from(!node.can_advance));
            assert_ne!(
                node.can_advance,
                node.must_hang,
                "L-1, L-2: whether the step can move, and whether the hang law forbids it\n{}",
                self.way(number, None)
            );
        }
    }

    /// The shortest way to a state, and perhaps one event more.
    fn way(&self, number: u32, last: Option<Event>) -> String {
        let mut way: Vec<Event> = last.into_iter().collect();
        let mut at = number;
        while let Some((from, event)) = self.nodes[at as usize].came {
            way.push(event);
            at = from;
        }
        way.reverse();
        format!("the way to it: {way:?}")
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, depth, left, .. } = self;
        write!(f, "states {states}, transitions {transitions}, depth {depth}")?;
        if *left > 0 {
            write!(f, ", bounded: {left} states were not gone on from")?;
        }
        write!(f, " ;")?;
        let mut happened = self.hits.counts().filter(|&(_, times)| times > 0);
        happened.try_for_each(|(sometimes, times)| write!(f, " {sometimes:?} {times}"))
    }
}
