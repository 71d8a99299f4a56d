//! Who stands where: places are given by those who have them to give, and the tree becomes better than it grew.

use std::{num::NonZeroU32, time::Duration};

use tiercast_codec::{Fed, Feed, Lost, NodeKind, Position, Relay, ToHub, ToPeer};
use tiercast_mesh::hub::{HubConfig, Place, TreeNode};
use tiercast_sim::{FIRST_EPOCH, channel, roots, sessions::Sessions};

/// Sessions that nobody closes for their silence.
fn patient(config: HubConfig) -> Sessions {
    // No standbys: they take places as well.
    let hour = Duration::from_secs(3_600);
    Sessions::new(HubConfig { heartbeat: hour, standby: hour, ..config })
}

fn tree(sessions: &Sessions) -> Vec<TreeNode> {
    sessions.hub.topology(&channel()).unwrap()
}

/// All links come up at once, and whose parent is lost asks the server. Nobody ever has more children than it takes.
fn answer(sessions: &mut Sessions) {
    while let Some(session) = sessions.awake.pop() {
        for message in sessions.read(session) {
            match message {
                ToPeer::Assign(assign) => {
                    sessions.say(session, ToHub::Fed(Fed { channel: channel(), link: assign.link }));
                }
                ToPeer::Lost(lost) if sessions.place(session) == Place::Orphan => {
                    sessions.say(session, ToHub::Feed(asks_the_server(lost)));
                }
                _ => {}
            }
        }
    }
    let takes = |node: &TreeNode| node.relay.map_or(0, |relay| relay.children_max.into());
    assert!(tree(sessions).iter().all(|node| node.children <= takes(node)));
}

fn asks_the_server(lost: Lost) -> Feed {
    let (position, window_bytes) = (Position::new(FIRST_EPOCH, -1), NonZeroU32::MAX);
    Feed { channel: channel(), position, window_bytes, link: Some(lost.link), code: lost.code }
}

fn join(sessions: &mut Sessions, peers: usize, children_max: u16) {
    (0..peers).for_each(|_| _ = sessions.join(children_max));
    answer(sessions);
}

/// Lets time pass, in which peers move.
fn pass(sessions: &mut Sessions, seconds: u64) {
    for _ in 0..4 * seconds {
        sessions.pass(Duration::from_millis(250));
        answer(sessions);
    }
}

fn children(sessions: &Sessions) -> usize {
    tree(sessions).iter().filter(|node| matches!(node.place, Place::Child(_))).count()
}

fn deepest(sessions: &Sessions, children_max: u16) -> u32 {
    let has = |node: &&TreeNode| node.relay.is_some_and(|relay| relay.children_max == children_max);
    tree(sessions).iter().filter(has).map(|node| node.tier).max().unwrap()
}

#[test]
fn leaves_that_came_first_take_no_place_from_those_who_bring_more() {
    let mut sessions = patient(roots(16));
    for _ in 0..20 {
        join(&mut sessions, 40, 0);
        join(&mut sessions, 10, 4);
    }
    assert_eq!(children(&sessions), 800, "as many as there are places");
}

#[test]
fn one_who_waits_with_places_to_give_gets_the_place_of_a_leaf_which_goes_below_it() {
    let mut sessions = patient(HubConfig { improve: Duration::from_millis(250), ..roots(1) });
    join(&mut sessions, 1, 4);
    join(&mut sessions, 4, 0);
    join(&mut sessions, 1, 4);
    assert_eq!(children(&sessions), 4, "the relay waits");
    pass(&mut sessions, 30);
    assert_eq!(children(&sessions), 5);
    let tiers: Vec<_> = tree(&sessions).iter().map(|node| node.tier).collect();
    assert_eq!(tiers.iter().filter(|tier| **tier == 3).count(), 1, "{tiers:?}");
}

#[test]
fn where_everybody_has_one_place_the_server_feeds_some_more_and_the_tree_stays_flat() {
    let mut sessions = patient(roots(16));
    join(&mut sessions, 1_000, 1);
    assert_eq!(deepest(&sessions, 1), HubConfig::default().tiers_max);
    assert_eq!(children(&sessions), 1_000 - 1_000_usize.div_ceil(16));
}

#[test]
fn those_with_many_places_come_to_stand_above_those_with_few() {
    let mut sessions = patient(HubConfig { improve: Duration::from_millis(250), ..roots(4) });
    join(&mut sessions, 40, 1);
    join(&mut sessions, 8, 8);
    join(&mut sessions, 48, 0);
    let (before, fed) = (deepest(&sessions, 8), children(&sessions));
    pass(&mut sessions, 300);
    let after = deepest(&sessions, 8);
    assert!(before > 10 && after <= 3, "the lowest of eight places stood in tier {before}, then in {after}");
    assert!(deepest(&sessions, 0) <= 5 && deepest(&sessions, 1) <= 5);
    assert!(children(&sessions) >= fed);
    let moves = |sessions: &Sessions| sessions.hub.channel_stats(&channel()).unwrap().moves;
    let until_now = moves(&sessions);
    pass(&mut sessions, 60);
    assert_eq!(moves(&sessions), until_now, "it comes to rest");
}

#[test]
fn one_that_has_been_there_for_a_while_takes_the_place_of_a_narrow_root() {
    let mut sessions = patient(HubConfig { improve: Duration::from_millis(250), ..roots(1) });
    join(&mut sessions, 1, 2);
    join(&mut sessions, 1, 8);
    let root = |sessions: &Sessions| {
        let tree = tree(sessions);
        tree.iter().find(|node| node.place == Place::Root).and_then(|node| Some(node.relay?.children_max))
    };
    pass(&mut sessions, 59);
    assert_eq!(root(&sessions), Some(2));
    pass(&mut sessions, 10);
    assert_eq!(root(&sessions), Some(8));
    assert_eq!(children(&sessions), 1, "the other one is below it");
}

#[test]
fn regression_one_that_gives_its_children_back_again_and_again_gets_one_at_a_time() {
    let mut sessions = patient(roots(1));
    let relay = sessions.join(4);
    join(&mut sessions, 4, 0);
    assert_eq!(children(&sessions), 4);
    let says = |sessions: &mut Sessions, children_max| {
        sessions.say(relay, ToHub::Relay(Relay { node: NodeKind::Native, children_max }));
        answer(sessions);
    };
    says(&mut sessions, 1);
    says(&mut sessions, 4);
    assert_eq!(children(&sessions), 1);
    let mut hit = 0;
    for _ in 0..100 {
        says(&mut sessions, 0);
        let before = children(&sessions);
        says(&mut sessions, 4);
        hit += children(&sessions) - before;
    }
    assert_eq!(hit, 100);
    // It is believed again as it keeps those whom it has.
    pass(&mut sessions, 60);
    assert_eq!(children(&sessions), 4);
}
