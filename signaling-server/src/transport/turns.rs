//! Several that are read on one connection take turns: one that always has something does not keep the others waiting.

use std::future::pending;

use futures_util::future::select_all;

/// What comes next of any of them, and of which: if several have something, of the first from the one on whose turn it is.
pub(super) async fn next_of<F: Future + Unpin>(
    nexts: impl IntoIterator<Item = F>,
    turn: usize,
) -> (F::Output, usize) {
    let mut nexts: Vec<_> = nexts.into_iter().collect();
    if nexts.is_empty() {
        return pending().await;
    }
    let (count, turn) = (nexts.len(), turn % nexts.len());
    nexts.rotate_left(turn);
    let (next, nth, _) = select_all(nexts).await;
    (next, (nth + turn) % count)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::ready};

    use super::*;

    #[test]
    fn those_that_have_something_are_given_it_in_turn() {
        let names = ["busy", "busy, too", "also"];
        let given = |turn| next_of(names.map(ready), turn).now_or_never();
        for turn in 0..6 {
            assert_eq!(given(turn), Some((names[turn % 3], turn % 3)));
        }
        let none: [std::future::Ready<()>; 0] = [];
        assert_eq!(next_of(none, 1).now_or_never(), None);
    }

    #[test]
    fn one_that_has_nothing_is_passed_over() {
        let nexts = [ready("this").left_future(), pending().right_future()];
        assert_eq!(next_of(nexts, 1).now_or_never(), Some(("this", 0)));
    }
}
