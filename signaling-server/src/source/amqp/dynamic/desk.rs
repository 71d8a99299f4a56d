//! What is wanted of one exchange: which patterns, by how many, which of them are bound, and since when. It does no IO;
//! `binder.rs` does what it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tiercast_codec::{ChannelName, Pattern, Position};
use tokio::{sync::watch, time::Instant};

use super::{
    super::{lifetime::Lifetime, names::Exchange},
    error::DynamicError,
    rules::channel_of,
};

/// Most patterns in one step: after each, those who wait for them go on, and others have their turn.
const STEP_PATTERNS: usize = 100;

/// A mark that has not come for so long is put again.
const MARK_MAX: Duration = Duration::from_secs(5);

/// One exchange.
#[derive(Debug)]
pub(super) struct Desk {
    exchange: Exchange,
    channel: ChannelName,
    linger: Duration,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    wants: BTreeMap<Pattern, Want>,
    /// In which life of the stream what is said to be complete is so.
    complete_in: Option<Lifetime>,
    /// Where that began.
    begins: Option<Position>,
    /// Why nothing more can be bound, as far as that is known.
    failure: Option<DynamicError>,
    /// When a mark that is on its way is given up.
    mark_due: Option<Instant>,
    /// Something may have been made on the broker.
    is_begun: bool,
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

impl Desk {
    pub(super) fn new(exchange: Exchange, linger: Duration) -> Self {
        let channel = channel_of(&exchange);
        Self { exchange, channel, linger, state: Mutex::default(), changes: watch::Sender::new(()) }
    }

    /// What an earlier start of the server has left bound. It stays as long as what nobody wants any more.
    pub(super) fn left(
        exchange: Exchange,
        patterns: impl IntoIterator<Item = Pattern>,
        linger: Duration,
    ) -> Self {
        let desk = Self::new(exchange, linger);
        let idle_until = Instant::now() + linger;
        let want = |pattern| {
            (pattern, Want { leases: 0, idle_until, may_be_bound: true, standing: Standing::Asked })
        };
        desk.lock().wants = patterns.into_iter().map(want).collect();
        desk.begin();
        desk
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The channel of the hub.
    pub(super) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Patterns that are wanted or linger.
    pub(super) fn len(&self) -> usize {
        self.lock().wants.len()
    }

    /// How many of these it does not have yet.
    pub(super) fn lacks(&self, patterns: &BTreeSet<Pattern>) -> usize {
        let state = self.lock();
        patterns.iter().filter(|pattern| !state.wants.contains_key(pattern)).count()
    }

    /// Somebody wants these. False if it is being let go: the next desk has them.
    pub(super) fn take(&self, patterns: &BTreeSet<Pattern>) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        for pattern in patterns {
            let idle_until = Instant::now();
            let new = Want { leases: 0, idle_until, may_be_bound: false, standing: Standing::Asked };
            state.wants.entry(pattern.clone()).or_insert(new).leases += 1;
        }
        self.changed(state);
        true
    }

    /// Somebody wants these no more.
    pub(super) fn release<'a>(&self, patterns: impl IntoIterator<Item = &'a Pattern>) {
        let mut state = self.lock();
        for pattern in patterns {
            if let Some(want) = state.wants.get_mut(pattern) {
                want.leases = want.leases.saturating_sub(1);
                if want.leases == 0 {
                    want.idle_until = Instant::now() + self.linger;
                }
            }
        }
        state.drop_unbound();
        self.changed(state);
    }

    /// Lets go now of what nobody wants.
    pub(super) fn hasten(&self) {
        let mut state = self.lock();
        state.wants.values_mut().for_each(|want| want.idle_until = Instant::now());
        self.changed(state);
    }

    /// Lets go now of everything.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.wants.values_mut().for_each(|want| want.leases = 0);
        state.drop_unbound();
        drop(state);
        self.hasten();
    }

    /// What has become of these.
    pub(super) fn progress(&self, patterns: &BTreeSet<Pattern>) -> Progress {
        let state = self.lock();
        let mut complete = BTreeMap::new();
        for pattern in patterns {
            match (state.wants.get(pattern).map(|want| &want.standing), &state.failure) {
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

    /// Tells of every change.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until nothing is wanted and nothing is bound; from then on nothing can be taken here.
    pub(super) async fn is_left(&self) {
        let mut changes = self.changes();
        while !self.close_if_left() {
            // It never ends: the sender is ours.
            let _ = changes.changed().await;
        }
    }

    fn close_if_left(&self) -> bool {
        let mut state = self.lock();
        state.is_closed |= state.wants.is_empty();
        state.is_closed
    }

    /// Something is made on the broker from now on. True for the first time.
    pub(super) fn begin(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_begun, true)
    }

    /// Whether something may have been made on the broker.
    pub(super) fn is_begun(&self) -> bool {
        self.lock().is_begun
    }

    /// Nothing can be bound. What is asked for is refused until that changes.
    pub(super) fn fail(&self, failure: DynamicError) {
        let mut state = self.lock();
        // A new exchange of this name has none of the bindings.
        if matches!(failure, DynamicError::UnknownExchange(_)) {
            state.complete_in = None;
            state.forget_bindings();
        }
        state.failure = Some(failure);
        self.changed(state);
    }

    /// The stream is there, and this is its life. Says whether what was complete still is; if not, nothing is.
    pub(super) fn enter(&self, lifetime: Lifetime) -> bool {
        let mut state = self.lock();
        let goes_on = state.complete_in == Some(lifetime);
        state.mark_due = None;
        for want in state.wants.values_mut() {
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
    pub(super) fn to_be_bound(&self) -> Vec<Pattern> {
        let mut state = self.lock();
        let is_needed = |want: &Want| match want.standing {
            Standing::Asked => want.leases > 0,
            Standing::Complete(_) => true,
            _ => false,
        };
        let needed = state.wants.iter_mut().filter(|(_, want)| is_needed(want));
        let name = |(pattern, want): (&Pattern, &mut Want)| {
            want.may_be_bound = true;
            pattern.clone()
        };
        needed.map(name).collect()
    }

    /// The channel is open from here on, and all that was bound before is complete.
    pub(super) fn opened(&self, lifetime: Lifetime, position: Position) {
        let mut state = self.lock();
        (state.complete_in, state.begins) = (Some(lifetime), Some(position));
        state.failure = None;
        let complete = Standing::Complete(Complete { since: position, reached: position });
        state.turn(|standing| *standing == Standing::Bound, &complete);
        self.changed(state);
    }

    /// Where that was.
    pub(super) fn begins(&self) -> Option<Position> {
        self.lock().begins
    }

    /// Goes on where it was.
    pub(super) fn resumed(&self) {
        let mut state = self.lock();
        state.failure = None;
        self.changed(state);
    }

    pub(super) fn next_step(&self) -> Step {
        let mut state = self.lock();
        let now = Instant::now();
        if state.mark_due.is_some_and(|due| due <= now) {
            state.mark_due = None;
            state.turn(|standing| matches!(standing, Standing::Marked(_)), &Standing::Bound);
        }
        let wanted = state.pick(|want| want.standing == Standing::Asked && want.leases > 0);
        if !wanted.is_empty() {
            return Step::Bind(wanted);
        }
        if state.wants.values().any(|want| want.standing == Standing::Bound) {
            return Step::Mark;
        }
        let idle = state.pick(|want| want.leases == 0 && want.may_be_bound && want.idle_until <= now);
        if !idle.is_empty() {
            // From now on it is not complete.
            idle.iter().for_each(|pattern| state.set(pattern, Standing::Asked));
            return Step::Unbind(idle);
        }
        let idle = state.wants.values().filter(|want| want.leases == 0).map(|want| want.idle_until);
        Step::Wait(idle.chain(state.mark_due).min())
    }

    /// A pattern is bound.
    pub(super) fn bound(&self, pattern: &Pattern) {
        let mut state = self.lock();
        if state.wants.get(pattern).is_some_and(|want| want.standing == Standing::Asked) {
            state.set(pattern, Standing::Bound);
        }
    }

    /// The broker does not let us bind a pattern.
    pub(super) fn refused(&self, pattern: &Pattern, why: DynamicError) {
        let mut state = self.lock();
        if let Some(want) = state.wants.get_mut(pattern)
            && want.standing == Standing::Asked
        {
            (want.standing, want.may_be_bound) = (Standing::Refused(why), false);
        }
        state.drop_unbound();
        self.changed(state);
    }

    /// What is bound now is complete from this mark on.
    pub(super) fn awaits(&self, mark: &str) {
        let mut state = self.lock();
        state.mark_due = Some(Instant::now() + MARK_MAX);
        state.turn(|standing| *standing == Standing::Bound, &Standing::Marked(mark.to_owned()));
    }

    /// The mark that was to come was not put.
    pub(super) fn marks_again(&self) {
        self.lock().mark_due = Some(Instant::now());
    }

    /// A mark has come by, here, when the events before it had been handed over.
    pub(super) fn came_by(&self, mark: &str, complete: Complete) {
        let mut state = self.lock();
        let is_it = |standing: &Standing| matches!(standing, Standing::Marked(awaited) if awaited == mark);
        if state.wants.values().any(|want| is_it(&want.standing)) {
            state.mark_due = None;
            state.turn(is_it, &Standing::Complete(complete));
            self.changed(state);
        }
    }

    /// These are not bound any more. What somebody wants again is bound again.
    pub(super) fn unbound(&self, patterns: &[Pattern]) {
        let mut state = self.lock();
        for pattern in patterns {
            if let Some(want) = state.wants.get_mut(pattern) {
                want.may_be_bound = false;
            }
        }
        state.drop_unbound();
        self.changed(state);
    }

    /// These could not be unbound: tried again as late as what is not wanted from now on.
    pub(super) fn stays_bound(&self, patterns: &[Pattern]) {
        let mut state = self.lock();
        for pattern in patterns {
            if let Some(want) = state.wants.get_mut(pattern) {
                want.idle_until = Instant::now() + self.linger;
            }
        }
    }

    /// What the broker may have.
    pub(super) fn may_be_bound(&self) -> BTreeSet<String> {
        let state = self.lock();
        let bound = state.wants.iter().filter(|(_, want)| want.may_be_bound);
        bound.map(|(pattern, _)| pattern.to_string()).collect()
    }

    fn changed(&self, state: MutexGuard<'_, State>) {
        drop(state);
        self.changes.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at any time, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Some of the patterns of which this is so. They may be bound from now on.
    fn pick(&mut self, is_so: impl Fn(&Want) -> bool) -> Vec<Pattern> {
        let picked = self.wants.iter_mut().filter(|(_, want)| is_so(want)).take(STEP_PATTERNS);
        let name = |(pattern, want): (&Pattern, &mut Want)| {
            want.may_be_bound = true;
            pattern.clone()
        };
        picked.map(name).collect()
    }

    fn set(&mut self, pattern: &Pattern, standing: Standing) {
        if let Some(want) = self.wants.get_mut(pattern) {
            want.standing = standing;
        }
    }

    fn turn(&mut self, is_so: impl Fn(&Standing) -> bool, into: &Standing) {
        for want in self.wants.values_mut().filter(|want| is_so(&want.standing)) {
            want.standing = into.clone();
        }
    }

    fn forget_bindings(&mut self) {
        for want in self.wants.values_mut() {
            (want.may_be_bound, want.standing) = (false, Standing::Asked);
        }
        self.drop_unbound();
    }

    /// Forgets what nobody wants and the broker does not have.
    fn drop_unbound(&mut self) {
        self.wants.retain(|_, want| want.leases > 0 || want.may_be_bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(60);
    const LIFETIME: Lifetime = Lifetime { stream: 7, epoch: 7 };

    fn desk() -> Desk {
        Desk::new("ci".parse().expect("a name"), LINGER)
    }

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
    fn bind_next(desk: &Desk, offset: i64) {
        let Step::Bind(patterns) = desk.next_step() else { panic!("nothing to bind") };
        patterns.iter().for_each(|pattern| desk.bound(pattern));
        assert_eq!(desk.next_step(), Step::Mark);
        desk.awaits("mark");
        desk.came_by("mark", Complete { since: at(offset), reached: at(offset - 1) });
    }

    fn since(desk: &Desk, pattern: &str) -> Option<Position> {
        match desk.progress(&patterns(&[pattern])) {
            Progress::Complete(complete) => complete.into_values().next().map(|complete| complete.since),
            Progress::Pending | Progress::Refused(_) => None,
        }
    }

    fn let_time_pass(duration: Duration) -> impl Future<Output = ()> {
        tokio::time::advance(duration)
    }

    #[tokio::test(start_paused = true)]
    async fn what_many_want_is_bound_once_and_unbound_a_while_after_the_last() {
        let desk = desk();
        assert!(desk.take(&patterns(&["a", "b"])) && desk.take(&patterns(&["a"])));
        assert_eq!(desk.next_step(), bind(&["a", "b"]));
        bind_next(&desk, 5);
        assert_eq!((since(&desk, "a"), since(&desk, "b")), (Some(at(5)), Some(at(5))));
        desk.release(&patterns(&["a", "b"]));
        assert_eq!(desk.next_step(), Step::Wait(Some(Instant::now() + LINGER)));
        let_time_pass(LINGER).await;
        assert_eq!(desk.next_step(), unbind(&["b"]), "somebody wants the other one");
        desk.unbound(&["b".parse().unwrap()]);
        assert_eq!((desk.len(), desk.next_step()), (1, Step::Wait(None)));
        desk.release(&patterns(&["a"]));
        desk.hasten();
        assert_eq!(desk.next_step(), unbind(&["a"]));
        desk.unbound(&["a".parse().unwrap()]);
        desk.is_left().await;
        assert!(!desk.take(&patterns(&["a"])), "another desk has it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_again_while_it_is_unbound_is_bound_anew() {
        let desk = desk();
        desk.take(&patterns(&["a"]));
        bind_next(&desk, 5);
        desk.release(&patterns(&["a"]));
        desk.hasten();
        assert_eq!(desk.next_step(), unbind(&["a"]));
        desk.take(&patterns(&["a"]));
        assert_eq!(since(&desk, "a"), None, "it is not complete any more");
        desk.unbound(&["a".parse().unwrap()]);
        bind_next(&desk, 9);
        assert_eq!(since(&desk, "a"), Some(at(9)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_complete_stays_so_in_the_same_life_of_the_stream_only() {
        let desk = desk();
        desk.take(&patterns(&["a", "b"]));
        assert!(!desk.enter(LIFETIME));
        desk.to_be_bound().iter().for_each(|pattern| desk.bound(pattern));
        desk.opened(LIFETIME, at(5));
        desk.release(&patterns(&["b"]));
        assert!(desk.enter(LIFETIME));
        assert_eq!(desk.to_be_bound().len(), 2, "it lingers");
        assert_eq!((since(&desk, "a"), since(&desk, "b")), (Some(at(5)), Some(at(5))));
        assert!(!desk.enter(Lifetime { epoch: 8, ..LIFETIME }));
        assert_eq!(since(&desk, "a"), None);
        assert_eq!(desk.to_be_bound(), ["a".parse().unwrap()], "nobody wants the other one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_that_does_not_come_is_put_again_and_one_that_comes_late_says_nothing() {
        let desk = desk();
        desk.take(&patterns(&["a"]));
        let Step::Bind(bound) = desk.next_step() else { panic!("nothing to bind") };
        desk.bound(&bound[0]);
        desk.awaits("first");
        assert_eq!(desk.next_step(), Step::Wait(Some(Instant::now() + MARK_MAX)));
        let_time_pass(MARK_MAX).await;
        assert_eq!(desk.next_step(), Step::Mark);
        desk.awaits("second");
        let complete = Complete { since: at(3), reached: at(2) };
        desk.came_by("first", complete);
        assert_eq!(since(&desk, "a"), None);
        desk.came_by("second", complete);
        assert_eq!(since(&desk, "a"), Some(at(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_is_missing_has_no_bindings_and_what_is_refused_is_no_matter_of_others() {
        let desk = desk();
        desk.take(&patterns(&["a", "b"]));
        desk.next_step();
        desk.refused(&"b".parse().unwrap(), DynamicError::Denied("ci".to_owned()));
        desk.bound(&"a".parse().unwrap());
        desk.opened(LIFETIME, at(5));
        assert_eq!(since(&desk, "a"), Some(at(5)));
        let refusal = Progress::Refused(DynamicError::Denied("ci".to_owned()));
        assert_eq!(desk.progress(&patterns(&["a", "b"])), refusal);
        desk.release(&patterns(&["b"]));
        assert_eq!(desk.len(), 1);
        let missing = DynamicError::UnknownExchange("ci".to_owned());
        desk.fail(missing.clone());
        assert_eq!(desk.progress(&patterns(&["a"])), Progress::Refused(missing));
        assert!(desk.may_be_bound().is_empty() && !desk.enter(LIFETIME));
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_start_left_bound_lingers_and_can_be_wanted_again() {
        let left = ["a".parse().unwrap(), "b".parse().unwrap()];
        let desk = Desk::left("ci".parse().unwrap(), left, LINGER);
        desk.take(&patterns(&["a"]));
        bind_next(&desk, 5);
        let_time_pass(LINGER).await;
        assert_eq!(desk.next_step(), unbind(&["b"]));
    }
}
