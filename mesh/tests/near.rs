//! Of places that are as good as each other everybody gets the nearest.

use std::time::Duration;

use tiercast_codec::{Fed, SessionId, ToHub, ToPeer};
use tiercast_mesh::hub::{HubConfig, Input, Location, Network, TreeNode, Whereabouts};
use tiercast_sim::{channel, roots, sessions::Sessions};

const BERLIN: (f64, f64) = (52.52, 13.405);
const SYDNEY: (f64, f64) = (-33.869, 151.209);

/// Sessions that nobody closes for their silence. No standbys: they take places as well.
fn patient(config: HubConfig) -> Sessions {
    let hour = Duration::from_secs(3_600);
    Sessions::new(HubConfig { heartbeat: hour, standby: hour, ..config })
}

fn at((latitude, longitude): (f64, f64)) -> Whereabouts {
    Whereabouts { location: Location::new(latitude, longitude), network: None }
}

fn in_network(number: u128, place: (f64, f64)) -> Whereabouts {
    Whereabouts { network: Some(Network(number)), ..at(place) }
}

/// Somewhere, the same for the same number: twenty peers live in each of some places.
fn somewhere(number: u64) -> Whereabouts {
    let place = number % 50;
    let (latitude, longitude) = ((place * 37 % 120) as f64 - 60.0, (place * 101 % 360) as f64 - 180.0);
    in_network(place.into(), (latitude, longitude))
}

fn join(sessions: &mut Sessions, from: Whereabouts, children_max: u16) -> SessionId {
    sessions.from = from;
    let session = sessions.join(children_max);
    answer(sessions);
    session
}

/// All links to parents come up at once. Nobody ever has more children than it takes.
fn answer(sessions: &mut Sessions) {
    while let Some(session) = sessions.awake.pop() {
        for message in sessions.read(session) {
            if let ToPeer::Assign(assign) = message
                && !assign.standby
            {
                sessions.say(session, ToHub::Fed(Fed { channel: channel(), link: assign.link }));
            }
        }
    }
    let takes = |node: &TreeNode| node.relay.map_or(0, |relay| relay.children_max.into());
    assert!(tree(sessions).iter().all(|node| node.children <= takes(node)));
}

fn tree(sessions: &Sessions) -> Vec<TreeNode> {
    sessions.hub.topology(&channel()).unwrap()
}

fn node(sessions: &Sessions, session: SessionId) -> TreeNode {
    let peer = sessions.hub.peer(session).unwrap();
    tree(sessions).into_iter().find(|node| node.peer == peer).unwrap()
}

fn is_fed_by(sessions: &Sessions, child: SessionId, parent: SessionId) -> bool {
    node(sessions, child).parent == sessions.hub.peer(parent)
}

#[test]
fn of_two_parents_in_one_tier_the_nearer_one_is_taken_whoever_has_more_children() {
    let mut sessions = patient(roots(2));
    let (berlin, sydney) = (join(&mut sessions, at(BERLIN), 8), join(&mut sessions, at(SYDNEY), 8));
    for _ in 0..4 {
        let child = join(&mut sessions, at((-37.8, 145.0)), 0);
        assert!(is_fed_by(&sessions, child, sydney), "one in Melbourne");
    }
    let child = join(&mut sessions, at((48.9, 2.4)), 0);
    assert!(is_fed_by(&sessions, child, berlin), "one in Paris");
    let child = join(&mut sessions, Whereabouts::default(), 0);
    assert!(is_fed_by(&sessions, child, berlin), "one of whom nothing is known: there are fewer");
}

#[test]
fn the_same_network_is_nearer_than_any_place() {
    let mut sessions = patient(roots(2));
    let _near = join(&mut sessions, in_network(1, BERLIN), 8);
    let same = join(&mut sessions, in_network(2, SYDNEY), 8);
    let child = join(&mut sessions, in_network(2, BERLIN), 0);
    assert!(is_fed_by(&sessions, child, same));
    let child = join(&mut sessions, Network(2).into(), 0);
    assert!(is_fed_by(&sessions, child, same), "without a location");
}

#[test]
fn those_a_few_kilometres_apart_are_alike_and_the_one_with_fewer_children_is_taken() {
    let mut sessions = patient(roots(2));
    let parents = [at(BERLIN), at((52.39, 13.06))].map(|from| join(&mut sessions, from, 8));
    (0..6).for_each(|_| _ = join(&mut sessions, at(BERLIN), 0));
    assert_eq!(parents.map(|parent| node(&sessions, parent).children), [3, 3]);
}

#[test]
fn a_place_farther_up_is_better_however_far_away_it_is() {
    let mut sessions = patient(roots(1));
    let root = join(&mut sessions, at(SYDNEY), 2);
    let near = join(&mut sessions, at(BERLIN), 8);
    assert!(is_fed_by(&sessions, near, root));
    let child = join(&mut sessions, at(BERLIN), 0);
    assert!(is_fed_by(&sessions, child, root));
    let child = join(&mut sessions, at(BERLIN), 0);
    assert!(is_fed_by(&sessions, child, near), "the root has no place any more");
}

/// A thousand peers with and without places to give. Where they are is told or not.
fn crowd(is_told: bool) -> Sessions {
    let mut sessions = patient(roots(8));
    for number in 0..1_000 {
        let from = if is_told { somewhere(number * 7 % 1_009) } else { Whereabouts::default() };
        sessions.from = from;
        sessions.join([0, 3, 1, 0, 6][number as usize % 5]);
        if number % 100 == 99 {
            answer(&mut sessions);
        }
    }
    sessions
}

#[test]
fn everybody_stands_in_the_tier_where_it_would_stand_if_nobody_knew_where_it_is() {
    let tiers = |sessions: &Sessions| tree(sessions).iter().map(|node| node.tier).collect::<Vec<_>>();
    let [told, untold] = [true, false].map(crowd);
    assert_eq!(tiers(&told), tiers(&untold));
    let links = |sessions: &Sessions| sessions.hub.channel_stats(&channel()).unwrap();
    let (told, untold) = (links(&told), links(&untold));
    assert_eq!((told.links, untold.links_in_one_network, untold.links_located), (untold.links, 0, 0));
    // By chance it would be one in fifty, and a quarter of the earth's girth.
    assert!(told.links_in_one_network * 3 > told.links, "{told:?}");
    assert!(told.links_km < told.links_located * 5_000, "{told:?}");
}

#[test]
fn the_same_peers_get_the_same_places() {
    assert_eq!(tree(&crowd(true)), tree(&crowd(true)));
}

#[test]
fn a_standby_is_near_but_of_another_network_than_the_parent() {
    let mut sessions = Sessions::new(roots(4));
    let far = join(&mut sessions, in_network(1, SYDNEY), 8);
    let parent = join(&mut sessions, in_network(2, BERLIN), 8);
    let same = join(&mut sessions, in_network(2, BERLIN), 8);
    let near = join(&mut sessions, in_network(3, (48.9, 2.4)), 8);
    let child = join(&mut sessions, in_network(9, BERLIN), 0);
    for _ in 0..5 {
        sessions.pass(Duration::from_secs(1));
        answer(&mut sessions);
    }
    let child = node(&sessions, child);
    let [far, parent, same, near] = [far, parent, same, near].map(|session| sessions.hub.peer(session));
    assert!([parent, same].contains(&child.parent), "{child:?}");
    assert_eq!(child.standby, near, "not {far:?}");
}

#[test]
fn a_place_that_opens_farther_up_goes_to_the_nearest_of_those_who_stand_far_down_and_are_alike() {
    let mut sessions = patient(HubConfig { improve: Duration::from_millis(250), ..roots(1) });
    let root = join(&mut sessions, at(BERLIN), 2);
    let leaf = join(&mut sessions, at(SYDNEY), 0);
    for children_max in [1, 2] {
        join(&mut sessions, at(BERLIN), children_max);
    }
    let [near, far] = [BERLIN, SYDNEY].map(|place| join(&mut sessions, at(place), 0));
    let pass = |sessions: &mut Sessions, seconds: u64| {
        for _ in 0..4 * seconds {
            sessions.pass(Duration::from_millis(250));
            answer(sessions);
        }
    };
    pass(&mut sessions, 15);
    assert_eq!([near, far].map(|session| node(&sessions, session).tier), [4, 4]);
    sessions.hub.handle(sessions.now, Input::SessionDeparted(leaf)).unwrap();
    pass(&mut sessions, 10);
    assert!(is_fed_by(&sessions, near, root));
    assert_eq!(node(&sessions, far).tier, 4);
}

#[test]
fn one_with_a_parent_far_away_moves_when_there_is_a_place_nearer_and_as_high_up() {
    let mut sessions = patient(HubConfig { improve: Duration::from_millis(250), ..roots(2) });
    let (berlin, sydney) = (join(&mut sessions, at(BERLIN), 8), join(&mut sessions, at(SYDNEY), 1));
    let leaf = join(&mut sessions, at(SYDNEY), 0);
    let other = join(&mut sessions, at(SYDNEY), 0);
    assert!(is_fed_by(&sessions, leaf, sydney) && is_fed_by(&sessions, other, berlin));
    let pass = |sessions: &mut Sessions| {
        for _ in 0..80 {
            sessions.pass(Duration::from_millis(250));
            answer(sessions);
        }
    };
    pass(&mut sessions);
    sessions.hub.handle(sessions.now, Input::SessionDeparted(leaf)).unwrap();
    pass(&mut sessions);
    assert!(is_fed_by(&sessions, other, sydney));
    let moves = |sessions: &Sessions| sessions.hub.channel_stats(&channel()).unwrap().moves;
    assert_eq!(moves(&sessions), 1, "and then it is at rest");
}
