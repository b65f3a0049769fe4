//! The plain line of tokens against a `VecDeque` of single tokens.

use std::collections::VecDeque;

use proptest::prelude::*;
use token_queue::{Token, Tokens};

#[derive(Clone, Debug)]
enum Op {
    Put(i64),
    PutMany(i64, usize),
    Discard(i64, usize),
    Take,
    Back(i64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..4i64).prop_map(Op::Put),
        (0..4i64, 0..4usize).prop_map(|(step, n)| Op::PutMany(step, n)),
        (0..4i64, 0..4usize).prop_map(|(step, n)| Op::Discard(step, n)),
        Just(Op::Take),
        Just(Op::Take),
        (0..4i64).prop_map(Op::Back),
    ]
}

proptest! {
    // R-11, P-5, P-12: runs of equal tokens cannot be told from single ones.
    #[test]
    fn tokens_are_a_line(ops in prop::collection::vec(op(), 0..60)) {
        let (mut tokens, mut line) = (Tokens::new(), VecDeque::new());
        for op in ops {
            match op {
                Op::Put(step) => {
                    tokens.put(Token::new(step));
                    line.push_back(step);
                }
                Op::PutMany(step, n) => {
                    tokens.put_many(Token::new(step), n);
                    line.extend([step].repeat(n));
                }
                Op::Discard(step, n) => {
                    let before = line.len();
                    line.retain(|&token| token >= step);
                    let discarded = tokens.put_many_discarding(Token::new(step), n);
                    prop_assert_eq!(discarded, before - line.len());
                    line.extend([step].repeat(n));
                }
                Op::Take => {
                    prop_assert_eq!(tokens.try_take(), line.pop_front().map(Token::new));
                }
                Op::Back(step) => {
                    tokens.put_back(Token::new(step));
                    line.push_front(step);
                }
            }
            prop_assert_eq!(tokens.len(), line.len());
            prop_assert_eq!(tokens.is_empty(), line.is_empty());
            prop_assert!(tokens.iter().eq(line.iter().copied().map(Token::new)));
            prop_assert_eq!(&tokens, &line.iter().copied().map(Token::new).collect());
        }
    }
}

#[test]
fn absurd_counts_stop_at_the_largest() {
    let mut tokens = Tokens::new();
    tokens.put_many(Token::new(1), usize::MAX);
    tokens.put(Token::new(2));
    tokens.put_back(Token::new(0));
    assert_eq!(tokens.len(), usize::MAX);
    assert_eq!(tokens.try_take(), Some(Token::new(1)));
    tokens.put_back(Token::new(0));
    assert_eq!(tokens.try_take(), Some(Token::new(0)));
    assert_eq!(tokens.put_many_discarding(Token::new(3), 1), usize::MAX - 1);
    assert_eq!(tokens, [Token::new(3)].into_iter().collect());
}
