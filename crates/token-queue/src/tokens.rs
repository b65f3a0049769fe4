//! The plain first-in first-out line of tokens: no lock, no waiting, no capacity, no closing.
//!
//! Tokens of one step nearly always come together, so they are kept as runs of equal tokens:
//! putting a million costs what putting one costs.
//!
//! Invariant: no run is empty, and `len` is the sum of the runs.

use std::collections::VecDeque;
use std::iter;

use crate::Token;

/// Tokens in the order in which they will be taken.
///
/// Use it where one owner decides, such as a state machine; where callers share and wait, use the
/// shared queue.
///
/// # Examples
/// ```
/// use token_queue::{Token, Tokens};
///
/// let mut tokens = Tokens::new();
/// tokens.put_many(Token::new(1), 2);
/// tokens.put(Token::new(2));
/// assert_eq!(tokens.try_take(), Some(Token::new(1)));
///
/// // A holder died: its token is the next one out (P-5).
/// tokens.put_back(Token::new(1));
/// assert_eq!(tokens.len(), 3);
///
/// // Step 3 begins: the three leftovers go, five tokens of step 3 come (P-12).
/// assert_eq!(tokens.put_many_discarding(Token::new(3), 5), 3);
/// assert!(tokens.iter().all(|token| token.step() == 3));
/// ```
// R-11
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    runs: VecDeque<Run>,
    len: usize,
}

/// `n` equal tokens in a row, `n` at least 1.
#[derive(Clone, Copy, Debug)]
struct Run {
    token: Token,
    n: usize,
}

impl Tokens {
    /// An empty line; it allocates nothing until the first put.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: VecDeque::new(), len: 0 }
    }

    /// Puts one token at the end.
    #[inline]
    pub fn put(&mut self, token: Token) {
        self.put_many(token, 1);
    }

    /// Puts `n` tokens of `step` at the end, in constant time.
    ///
    /// The count stops at `usize::MAX` tokens: more are not put.
    #[inline]
    pub fn put_many(&mut self, step: Token, n: usize) {
        let n = n.min(usize::MAX - self.len);
        if n == 0 {
            return;
        }
        self.len += n;
        match self.runs.back_mut() {
            Some(last) if last.token == step => last.n += n,
            _ => self.runs.push_back(Run { token: step, n }),
        }
    }

    /// Drops every token older than `step`, puts `n` tokens of `step` at the end, and returns how
    /// many were dropped.
    ///
    /// No other caller sees the line between the two. A newer token stays where it is.
    // P-12
    pub fn put_many_discarding(&mut self, step: Token, n: usize) -> usize {
        let discarded = self.discard_older(step);
        self.put_many(step, n);
        discarded
    }

    /// Takes the first token, or `None` when there is none.
    #[inline]
    pub fn try_take(&mut self) -> Option<Token> {
        let first = self.runs.front_mut()?;
        let token = first.token;
        first.n -= 1;
        if first.n == 0 {
            self.runs.pop_front();
        }
        self.len -= 1;
        Some(token)
    }

    /// Puts a token back in front, so that it is the next one taken.
    ///
    /// # Examples
    /// ```
    /// use token_queue::{Token, Tokens};
    ///
    /// let mut tokens: Tokens = [4, 5].map(Token::new).into_iter().collect();
    /// let leased = tokens.try_take().expect("two tokens were put");
    /// tokens.put_back(leased);
    /// assert_eq!(tokens.try_take(), Some(leased));
    /// ```
    // P-5
    #[inline]
    pub fn put_back(&mut self, token: Token) {
        self.put_back_run(Run { token, n: 1 });
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The tokens in the order in which they would be taken.
    pub fn iter(&self) -> impl Iterator<Item = Token> + Clone {
        self.runs.iter().flat_map(|run| iter::repeat_n(run.token, run.n))
    }

    /// How many tokens are older than `step`.
    pub(crate) fn count_older(&self, step: Token) -> usize {
        self.runs.iter().filter(|run| run.token < step).map(|run| run.n).sum()
    }

    /// Drops every token older than `step` and returns how many there were.
    // P-12
    pub(crate) fn discard_older(&mut self, step: Token) -> usize {
        let discarded = self.count_older(step);
        self.runs.retain(|run| run.token >= step);
        self.len -= discarded;
        discarded
    }

    /// Moves the first `n` tokens, or all when there are fewer, to the end of `to`.
    pub(crate) fn move_to(&mut self, to: &mut Self, n: usize) {
        let mut left = n.min(usize::MAX - to.len);
        while left > 0 {
            let Some(first) = self.runs.front_mut() else { return };
            let moved = first.n.min(left);
            to.put_many(first.token, moved);
            first.n -= moved;
            if first.n == 0 {
                self.runs.pop_front();
            }
            self.len -= moved;
            left -= moved;
        }
    }

    /// Puts `batch` back in front, its first token first.
    // R-13
    pub(crate) fn put_back_all(&mut self, batch: Self) {
        batch.runs.into_iter().rev().for_each(|run| self.put_back_run(run));
    }

    fn put_back_run(&mut self, run: Run) {
        let n = run.n.min(usize::MAX - self.len);
        if n == 0 {
            return;
        }
        self.len += n;
        match self.runs.front_mut() {
            Some(first) if first.token == run.token => first.n += n,
            _ => self.runs.push_front(Run { token: run.token, n }),
        }
    }
}

impl FromIterator<Token> for Tokens {
    fn from_iter<I: IntoIterator<Item = Token>>(tokens: I) -> Self {
        let mut collected = Self::new();
        tokens.into_iter().for_each(|token| collected.put(token));
        collected
    }
}

/// Two lines are equal when they would give out the same tokens in the same order.
impl PartialEq for Tokens {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for Tokens {}
