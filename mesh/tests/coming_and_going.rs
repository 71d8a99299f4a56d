//! Channels that are added and taken away while the hub runs.

use std::{iter, sync::Arc};

use tiercast_codec::{Code, PatternSet, Position, Since, ToPeer};
use tiercast_mesh::{
    SourceUpdate,
    hub::{CommandError, HubConfig, Input, Output, ReaderId, Reading},
};
use tiercast_sim::{channel, sessions::Sessions};

#[test]
fn a_channel_that_is_taken_away_leaves_nothing_and_can_come_again() {
    let mut sessions = Sessions::new(HubConfig::default());
    let [parent, away, child] = [4, 4, 4].map(|children| sessions.join(children));
    // One is waited for.
    sessions.hub.handle(sessions.now, Input::SessionClosed(away)).unwrap();
    sessions.hub.remove_channel(sessions.now, &channel()).unwrap();
    assert_eq!((sessions.hub.channels().count(), sessions.hub.sessions()), (0, 0));
    assert_eq!(sessions.hub.poll_timeout(), None, "nothing is waited for");
    let update = || SourceUpdate::Opened(Position::new(8, -1));
    let unknown = sessions.hub.handle(sessions.now, Input::Source(&channel(), update()));
    assert_eq!(unknown, Err(CommandError::UnknownChannel(channel())));
    let again = sessions.hub.remove_channel(sessions.now, &channel());
    assert_eq!(again, Err(CommandError::UnknownChannel(channel())));

    let late = sessions.join(4);
    assert_eq!(sessions.closed.keys().collect::<Vec<_>>(), [&parent, &child], "those may come back");
    assert!(sessions.closed.values().all(|code| code.may_reconnect()));
    let refused =
        |message: &ToPeer| matches!(message, ToPeer::Error(error) if error.code == Code::UNKNOWN_CHANNEL);
    assert!(sessions.read(late).iter().any(refused));

    sessions.hub.add_channel(sessions.now, &channel()).unwrap();
    sessions.hub.handle(sessions.now, Input::Source(&channel(), update())).unwrap();
    assert_eq!(sessions.hub.position(&channel()), Some(Position::new(8, -1)));
    let member = sessions.join(4);
    assert!(!sessions.closed.contains_key(&member));
    assert_eq!(sessions.hub.topology(&channel()).map(|nodes| nodes.len()), Some(1));
}

#[test]
fn whoever_reads_a_channel_that_is_taken_away_is_told_and_can_read_the_next() {
    let Sessions { mut hub, now, .. } = Sessions::new(HubConfig::default());
    let filter: Arc<PatternSet> = PatternSet::new(vec!["#".parse().unwrap()]).into();
    let reading = || Reading { channel: channel(), since: Since::Now, filter: filter.clone() };
    hub.open_reader(now, ReaderId(1), reading()).unwrap();
    hub.remove_channel(now, &channel()).unwrap();
    let is_it =
        |output| matches!(output, Output::CloseReader(ReaderId(1), refusal) if refusal.code.may_reconnect());
    assert_eq!(iter::from_fn(|| hub.poll_output()).filter(|output| is_it(output.clone())).count(), 1);
    assert_eq!(hub.readers(), 0);
    let refusal = hub.open_reader(now, ReaderId(2), reading()).map_err(|refusal| refusal.code);
    assert_eq!(refusal, Err(Code::UNKNOWN_CHANNEL));

    hub.add_channel(now, &channel()).unwrap();
    let opened = SourceUpdate::Opened(Position::new(8, -1));
    hub.handle(now, Input::Source(&channel(), opened)).unwrap();
    assert!(hub.open_reader(now, ReaderId(3), reading()).is_ok());
}
