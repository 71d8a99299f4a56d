//! What is wanted of one exchange: which patterns, by how many, which of them are bound, and since when. It does no IO and
//! reads no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tiercast_codec::{Pattern, Position};
use tokio::time::Instant;

use super::{super::lifetime::Lifetime, error::DynamicError};

/// Most patterns in one step: after each, those who wait for them go on, and others have their turn.
const STEP_PATTERNS: usize = 100;

/// A mark that has not come for so long is put again.
const MARK_MAX: Duration = Duration::from_secs(5);

/// What is wanted, and what has become of it.
#[derive(Debug)]
pub(super) struct Wants {
    linger: Duration,
    patterns: BTreeMap<Pattern, Want>,
    /// In which life of the stream what is said to be complete is so.
    complete_in: Option<Lifetime>,
    /// Where that began.
    begins: Option<Position>,
    /// Why nothing more can be bound, as far as that is known.
    failure: Option<DynamicError>,
    /// When a mark that is on its way is given up.
    mark_due: Option<Instant>,
    is_closed: bool,
}

/// A pattern that somebody wants, or wanted.
#[derive(Debug)]
struct Want {
    leases: usize,
    /// When it is unbound if nobody wants it by then.
    idle_until: Instant,
    /// Whether the broker may have it. Told before it is asked for.
    may_be_bound: bool,
    standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// To be bound, if somebody wants it.
    Asked,
    /// Bound, from when on is not known yet.
    Bound,
    /// Bound before this mark.
    Marked(String),
    /// Everything after this position has come or will.
    Complete(Complete),
    Refused(DynamicError),
}

/// From where on a pattern is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Complete {
    /// Nothing after this position is missing.
    pub(super) since: Position,
    /// When the hub has this it has all that came before.
    pub(super) reached: Position,
}

/// What has become of patterns that somebody waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    Complete(BTreeMap<Pattern, Complete>),
    Refused(DynamicError),
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Bind(Vec<Pattern>),
    /// Put a mark: something was bound.
    Mark,
    Unbind(Vec<Pattern>),
    /// Nothing before something changes, or it is this time.
    Wait(Option<Instant>),
}

impl Wants {
    /// Nothing is wanted. What nobody wants any more stays bound for `linger`.
    pub(super) fn new(linger: Duration) -> Self {
        Self {
            linger,
            patterns: BTreeMap::new(),
            complete_in: None,
            begins: None,
            failure: None,
            mark_due: None,
            is_closed: false,
        }
    }

    /// An earlier start of the server has left these bound. They stay as long as what nobody wants any more.
    pub(super) fn left_bound(&mut self, patterns: impl IntoIterator<Item = Pattern>, now: Instant) {
        let idle_until = now + self.linger;
        let want = |pattern| {
            (pattern, Want { leases: 0, idle_until, may_be_bound: true, standing: Standing::Asked })
        };
        self.patterns.extend(patterns.into_iter().map(want));
    }

    /// Patterns that are wanted or linger.
    pub(super) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// How many of these it does not have yet.
    pub(super) fn lacks(&self, patterns: &BTreeSet<Pattern>) -> usize {
        patterns.iter().filter(|pattern| !self.patterns.contains_key(pattern)).count()
    }

    /// Somebody wants these. False if nothing can be taken any more.
    pub(super) fn take(&mut self, patterns: &BTreeSet<Pattern>, now: Instant) -> bool {
        if self.is_closed {
            return false;
        }
        for pattern in patterns {
            let new = Want { leases: 0, idle_until: now, may_be_bound: false, standing: Standing::Asked };
            self.patterns.entry(pattern.clone()).or_insert(new).leases += 1;
        }
        true
    }

    /// Somebody wants these no more.
    pub(super) fn release(&mut self, patterns: &BTreeSet<Pattern>, now: Instant) {
        for pattern in patterns {
            if let Some(want) = self.patterns.get_mut(pattern) {
                want.leases = want.leases.saturating_sub(1);
                if want.leases == 0 {
                    want.idle_until = now + self.linger;
                }
            }
        }
        self.drop_unbound();
    }

    /// Lets go now of what nobody wants.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.patterns.values_mut().for_each(|want| want.idle_until = now);
    }

    /// Lets go now of everything.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.patterns.values_mut().for_each(|want| want.leases = 0);
        self.drop_unbound();
        self.hasten(now);
    }

    /// Takes nothing more if nothing is wanted and nothing is bound. Says whether that is so.
    pub(super) fn close_if_left(&mut self) -> bool {
        self.is_closed |= self.patterns.is_empty();
        self.is_closed
    }

    /// What has become of these.
    pub(super) fn progress(&self, patterns: &BTreeSet<Pattern>) -> Progress {
        let mut complete = BTreeMap::new();
        for pattern in patterns {
            match (self.patterns.get(pattern).map(|want| &want.standing), &self.failure) {
                (Some(Standing::Complete(since)), _) => _ = complete.insert(pattern.clone(), *since),
                (Some(Standing::Refused(error)), _) | (Some(Standing::Asked), Some(error)) => {
                    return Progress::Refused(error.clone());
                }
                (Some(_), _) => return Progress::Pending,
                // Everything was abandoned.
                (None, _) => return Progress::Refused(DynamicError::Stopped),
            }
        }
        Progress::Complete(complete)
    }

    /// Nothing can be bound. What is asked for is refused until that changes.
    pub(super) fn fail(&mut self, failure: DynamicError) {
        // A new exchange of this name has none of the bindings.
        if matches!(failure, DynamicError::UnknownExchange(_)) {
            self.complete_in = None;
            self.forget_bindings();
        }
        self.failure = Some(failure);
    }

    /// The stream is there, and this is its life. Says whether what was complete still is; if not, nothing is.
    pub(super) fn enter(&mut self, lifetime: Lifetime) -> bool {
        let goes_on = self.complete_in == Some(lifetime);
        self.mark_due = None;
        for want in self.patterns.values_mut() {
            match want.standing {
                Standing::Complete(_) if goes_on => {}
                Standing::Bound | Standing::Marked(_) | Standing::Complete(_) => {
                    want.standing = Standing::Asked;
                }
                Standing::Asked | Standing::Refused(_) => {}
            }
        }
        goes_on
    }

    /// What has to be bound when the stream is entered: what is wanted, and what is complete.
    pub(super) fn needed(&mut self) -> Vec<Pattern> {
        let is_so = |want: &Want| match want.standing {
            Standing::Asked => want.leases > 0,
            Standing::Complete(_) => true,
            _ => false,
        };
        self.pick(is_so, usize::MAX)
    }

    /// The channel is open from here on, and all that was bound before is complete.
    pub(super) fn opened(&mut self, lifetime: Lifetime, position: Position) {
        (self.complete_in, self.begins) = (Some(lifetime), Some(position));
        self.failure = None;
        let complete = Standing::Complete(Complete { since: position, reached: position });
        self.turn(|standing| *standing == Standing::Bound, &complete);
    }

    /// Where that was.
    pub(super) fn begins(&self) -> Option<Position> {
        self.begins
    }

    /// Goes on where it was.
    pub(super) fn resumed(&mut self) {
        self.failure = None;
    }

    /// What is to be done next.
    pub(super) fn next_step(&mut self, now: Instant) -> Step {
        if self.mark_due.is_some_and(|due| due <= now) {
            self.mark_due = None;
            self.turn(|standing| matches!(standing, Standing::Marked(_)), &Standing::Bound);
        }
        let wanted = self.pick(|want| want.standing == Standing::Asked && want.leases > 0, STEP_PATTERNS);
        if !wanted.is_empty() {
            return Step::Bind(wanted);
        }
        if self.patterns.values().any(|want| want.standing == Standing::Bound) {
            return Step::Mark;
        }
        let is_idle = |want: &Want| want.leases == 0 && want.may_be_bound && want.idle_until <= now;
        let idle = self.pick(is_idle, STEP_PATTERNS);
        if !idle.is_empty() {
            // From now on it is not complete.
            idle.iter().for_each(|pattern| self.set(pattern, Standing::Asked));
            return Step::Unbind(idle);
        }
        let idle = self.patterns.values().filter(|want| want.leases == 0).map(|want| want.idle_until);
        Step::Wait(idle.chain(self.mark_due).min())
    }

    /// A pattern is bound.
    pub(super) fn bound(&mut self, pattern: &Pattern) {
        if self.patterns.get(pattern).is_some_and(|want| want.standing == Standing::Asked) {
            self.set(pattern, Standing::Bound);
        }
    }

    /// The broker does not let us bind a pattern.
    pub(super) fn refused(&mut self, pattern: &Pattern, why: DynamicError) {
        if let Some(want) = self.patterns.get_mut(pattern)
            && want.standing == Standing::Asked
        {
            (want.standing, want.may_be_bound) = (Standing::Refused(why), false);
        }
        self.drop_unbound();
    }

    /// What is bound now is complete from this mark on.
    pub(super) fn awaits(&mut self, mark: &str, now: Instant) {
        self.mark_due = Some(now + MARK_MAX);
        self.turn(|standing| *standing == Standing::Bound, &Standing::Marked(mark.to_owned()));
    }

    /// The mark that was to come was not put.
    pub(super) fn marks_again(&mut self, now: Instant) {
        self.mark_due = Some(now);
    }

    /// A mark has come by, here, when the events before it had been handed over. Says whether somebody waits for it.
    pub(super) fn came_by(&mut self, mark: &str, complete: Complete) -> bool {
        let is_it = |standing: &Standing| matches!(standing, Standing::Marked(awaited) if awaited == mark);
        let is_awaited = self.patterns.values().any(|want| is_it(&want.standing));
        if is_awaited {
            self.mark_due = None;
            self.turn(is_it, &Standing::Complete(complete));
        }
        is_awaited
    }

    /// These are not bound any more. What somebody wants again is bound again.
    pub(super) fn unbound(&mut self, patterns: &[Pattern]) {
        for pattern in patterns {
            if let Some(want) = self.patterns.get_mut(pattern) {
                want.may_be_bound = false;
            }
        }
        self.drop_unbound();
    }

    /// These could not be unbound: tried again as late as what is not wanted from now on.
    pub(super) fn stays_bound(&mut self, patterns: &[Pattern], now: Instant) {
        for pattern in patterns {
            if let Some(want) = self.patterns.get_mut(pattern) {
                want.idle_until = now + self.linger;
            }
        }
    }

    /// What the broker may have.
    pub(super) fn may_be_bound(&self) -> BTreeSet<String> {
        let bound = self.patterns.iter().filter(|(_, want)| want.may_be_bound);
        bound.map(|(pattern, _)| pattern.to_string()).collect()
    }

    /// So many at most of the patterns of which this is so. They may be bound from now on.
    fn pick(&mut self, is_so: impl Fn(&Want) -> bool, count_max: usize) -> Vec<Pattern> {
        let picked = self.patterns.iter_mut().filter(|(_, want)| is_so(want)).take(count_max);
        let name = |(pattern, want): (&Pattern, &mut Want)| {
            want.may_be_bound = true;
            pattern.clone()
        };
        picked.map(name).collect()
    }

    fn set(&mut self, pattern: &Pattern, standing: Standing) {
        if let Some(want) = self.patterns.get_mut(pattern) {
            want.standing = standing;
        }
    }

    fn turn(&mut self, is_so: impl Fn(&Standing) -> bool, into: &Standing) {
        for want in self.patterns.values_mut().filter(|want| is_so(&want.standing)) {
            want.standing = into.clone();
        }
    }

    fn forget_bindings(&mut self) {
        for want in self.patterns.values_mut() {
            (want.may_be_bound, want.standing) = (false, Standing::Asked);
        }
        self.drop_unbound();
    }

    /// Forgets what nobody wants and the broker does not have.
    fn drop_unbound(&mut self) {
        self.patterns.retain(|_, want| want.leases > 0 || want.may_be_bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(60);
    const LIFETIME: Lifetime = Lifetime { stream: 7, epoch: 7 };

    fn patterns(texts: &[&str]) -> BTreeSet<Pattern> {
        texts.iter().map(|text| text.parse().expect("a pattern")).collect()
    }

    fn bind(texts: &[&str]) -> Step {
        Step::Bind(patterns(texts).into_iter().collect())
    }

    fn unbind(texts: &[&str]) -> Step {
        Step::Unbind(patterns(texts).into_iter().collect())
    }

    fn at(offset: i64) -> Position {
        Position::new(7, offset)
    }

    /// Does the next step, which is to bind, and lets a mark come by here.
    fn bind_next(wants: &mut Wants, now: Instant, offset: i64) {
        let Step::Bind(patterns) = wants.next_step(now) else { panic!("nothing to bind") };
        patterns.iter().for_each(|pattern| wants.bound(pattern));
        assert_eq!(wants.next_step(now), Step::Mark);
        wants.awaits("mark", now);
        assert!(wants.came_by("mark", Complete { since: at(offset), reached: at(offset - 1) }));
    }

    fn since(wants: &Wants, pattern: &str) -> Option<Position> {
        match wants.progress(&patterns(&[pattern])) {
            Progress::Complete(complete) => complete.into_values().next().map(|complete| complete.since),
            Progress::Pending | Progress::Refused(_) => None,
        }
    }

    #[test]
    fn what_many_want_is_bound_once_and_unbound_a_while_after_the_last() {
        let (mut wants, now) = (Wants::new(LINGER), Instant::now());
        assert!(wants.take(&patterns(&["a", "b"]), now) && wants.take(&patterns(&["a"]), now));
        assert_eq!(wants.next_step(now), bind(&["a", "b"]));
        bind_next(&mut wants, now, 5);
        assert_eq!((since(&wants, "a"), since(&wants, "b")), (Some(at(5)), Some(at(5))));
        wants.release(&patterns(&["a", "b"]), now);
        assert_eq!(wants.next_step(now), Step::Wait(Some(now + LINGER)));
        let now = now + LINGER;
        assert_eq!(wants.next_step(now), unbind(&["b"]), "somebody wants the other one");
        wants.unbound(&["b".parse().unwrap()]);
        assert_eq!((wants.len(), wants.next_step(now)), (1, Step::Wait(None)));
        wants.release(&patterns(&["a"]), now);
        wants.hasten(now);
        assert_eq!(wants.next_step(now), unbind(&["a"]));
        assert!(!wants.close_if_left());
        wants.unbound(&["a".parse().unwrap()]);
        assert!(wants.close_if_left());
        assert!(!wants.take(&patterns(&["a"]), now), "another desk has it");
    }

    #[test]
    fn what_is_wanted_again_while_it_is_unbound_is_bound_anew() {
        let (mut wants, now) = (Wants::new(LINGER), Instant::now());
        wants.take(&patterns(&["a"]), now);
        bind_next(&mut wants, now, 5);
        wants.release(&patterns(&["a"]), now);
        wants.hasten(now);
        assert_eq!(wants.next_step(now), unbind(&["a"]));
        wants.take(&patterns(&["a"]), now);
        assert_eq!(since(&wants, "a"), None, "it is not complete any more");
        wants.unbound(&["a".parse().unwrap()]);
        bind_next(&mut wants, now, 9);
        assert_eq!(since(&wants, "a"), Some(at(9)));
    }

    #[test]
    fn what_is_complete_stays_so_in_the_same_life_of_the_stream_only() {
        let (mut wants, now) = (Wants::new(LINGER), Instant::now());
        wants.take(&patterns(&["a", "b"]), now);
        assert!(!wants.enter(LIFETIME));
        wants.needed().iter().for_each(|pattern| wants.bound(pattern));
        wants.opened(LIFETIME, at(5));
        wants.release(&patterns(&["b"]), now);
        assert!(wants.enter(LIFETIME));
        assert_eq!(wants.needed().len(), 2, "it lingers");
        assert_eq!((since(&wants, "a"), since(&wants, "b")), (Some(at(5)), Some(at(5))));
        assert!(!wants.enter(Lifetime { epoch: 8, ..LIFETIME }));
        assert_eq!(since(&wants, "a"), None);
        assert_eq!(wants.needed(), ["a".parse().unwrap()], "nobody wants the other one");
    }

    #[test]
    fn a_mark_that_does_not_come_is_put_again_and_one_that_comes_late_says_nothing() {
        let (mut wants, now) = (Wants::new(LINGER), Instant::now());
        wants.take(&patterns(&["a"]), now);
        let Step::Bind(bound) = wants.next_step(now) else { panic!("nothing to bind") };
        wants.bound(&bound[0]);
        wants.awaits("first", now);
        assert_eq!(wants.next_step(now), Step::Wait(Some(now + MARK_MAX)));
        let now = now + MARK_MAX;
        assert_eq!(wants.next_step(now), Step::Mark);
        wants.awaits("second", now);
        let complete = Complete { since: at(3), reached: at(2) };
        assert!(!wants.came_by("first", complete));
        assert_eq!(since(&wants, "a"), None);
        assert!(wants.came_by("second", complete));
        assert_eq!(since(&wants, "a"), Some(at(3)));
    }

    #[test]
    fn an_exchange_that_is_missing_has_no_bindings_and_what_is_refused_is_no_matter_of_others() {
        let (mut wants, now) = (Wants::new(LINGER), Instant::now());
        wants.take(&patterns(&["a", "b"]), now);
        wants.next_step(now);
        wants.refused(&"b".parse().unwrap(), DynamicError::Denied("ci".to_owned()));
        wants.bound(&"a".parse().unwrap());
        wants.opened(LIFETIME, at(5));
        assert_eq!(since(&wants, "a"), Some(at(5)));
        let refusal = Progress::Refused(DynamicError::Denied("ci".to_owned()));
        assert_eq!(wants.progress(&patterns(&["a", "b"])), refusal);
        wants.release(&patterns(&["b"]), now);
        assert_eq!(wants.len(), 1);
        let missing = DynamicError::UnknownExchange("ci".to_owned());
        wants.fail(missing.clone());
        assert_eq!(wants.progress(&patterns(&["a"])), Progress::Refused(missing));
        assert!(wants.may_be_bound().is_empty() && !wants.enter(LIFETIME));
    }

    #[test]
    fn what_an_earlier_start_left_bound_lingers_and_can_be_wanted_again() {
        let (mut wants, now) = (Wants::new(LINGER), Instant::now());
        wants.left_bound(["a".parse().unwrap(), "b".parse().unwrap()], now);
        wants.take(&patterns(&["a"]), now);
        bind_next(&mut wants, now, 5);
        assert_eq!(wants.next_step(now + LINGER), unbind(&["b"]));
    }
}
