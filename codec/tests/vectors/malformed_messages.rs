//! Control and link messages that must be refused, for `malformed.json`.

use serde_json::Value;
use tiercast_codec::{
    NUMBER_MAX,
    limits::{CONTROL_BYTES_MAX, LIVING_LINKS_MAX},
};

use crate::{
    malformed::case,
    ranges,
    raw::{float, map, text, wide},
};

type Fields<'a> = [(&'a str, Vec<u8>)];

pub fn built() -> Vec<Value> {
    [envelopes(), unknown_types(), values(), families(), ranges::outside()].concat()
}

fn bad(family: &str, name: &str, bytes: &[u8]) -> Value {
    case(family, name, bytes, "bad_message")
}

fn ping(more: &Fields<'_>) -> Vec<u8> {
    map(&[&[("type", text("ping")), ("time_us", vec![1])], more].concat())
}

/// The message as a whole.
fn envelopes() -> Vec<Value> {
    let good = ping(&[]);
    let typed = |kind: Vec<u8>| map(&[("type", kind), ("time_us", vec![1])]);
    let too_large = [vec![0xdf], vec![0; CONTROL_BYTES_MAX]].concat();
    vec![
        bad("to_hub", "message_nothing", &[]),
        bad("to_hub", "message_nil", &[0xc0]),
        bad("to_hub", "message_text", &text("ping")),
        bad("to_hub", "message_array", &[&[0x92], &text("ping")[..], &[1]].concat()),
        bad("link", "message_array_on_a_link", &[&[0x92], &text("ping")[..], &[1]].concat()),
        bad("to_hub", "message_cut", &good[..good.len() - 1]),
        bad("to_hub", "message_reserved_marker", &ping(&[("new", vec![0xc1])])),
        bad("to_hub", "message_claims_more_fields", &[&[0x83], &good[1..]].concat()),
        bad(
            "to_hub",
            "message_claims_4_billion_fields",
            &[&[0xdf, 0xff, 0xff, 0xff, 0xff], &good[1..]].concat(),
        ),
        bad("to_hub", "message_without_type", &map(&[("time_us", vec![1])])),
        bad("to_hub", "message_empty_map", &[0x80]),
        bad("to_hub", "type_nil", &typed(vec![0xc0])),
        bad("to_hub", "type_integer", &typed(vec![0x01])),
        bad("to_hub", "type_list", &typed(vec![0x91, 0xa4, b'p', b'i', b'n', b'g'])),
        bad("to_hub", "unknown_field_nested_8_deep", &ping(&[("new", [vec![0x91; 6], vec![0x90]].concat())])),
        case("to_hub", "message_bytes_after", &[&good[..], &[0xc0]].concat(), "trailing_bytes"),
        case("to_hub", "message_twice", &good.repeat(2), "trailing_bytes"),
        case("to_peer", "message_bytes_after_to_peer", &[&good[..], &[0x80]].concat(), "trailing_bytes"),
        case("link", "message_bytes_after_on_a_link", &[&good[..], &[0x80]].concat(), "trailing_bytes"),
        case("to_hub", "message_one_byte_too_large", &too_large, "too_large"),
        case("to_peer", "message_one_byte_too_large_to_peer", &too_large, "too_large"),
        case("link", "message_one_byte_too_large_on_a_link", &too_large, "too_large"),
    ]
}

/// Types that nobody knows. Nobody closes for them, whatever else is in the message, and the answer has the `id` of
/// the message if that is one.
fn unknown_types() -> Vec<Value> {
    let named = |kind: &str| map(&[("type", text(kind)), ("time_us", vec![1])]);
    let with_id = |id: Vec<u8>| map(&[("type", text("dance")), ("id", id)]);
    let unknown = |family: &str, name: &str, bytes: &[u8], id: Option<u64>| {
        let mut case = case(family, name, bytes, "unknown_message");
        case["id"] = id.into();
        case
    };
    let without_id = [
        ("to_hub", "type_unknown", named("dance")),
        ("to_hub", "type_empty", named("")),
        ("to_hub", "type_capital", named("Ping")),
        ("to_hub", "type_of_the_other_direction", named("welcome")),
        ("to_hub", "type_of_links", named("join")),
        ("to_peer", "type_unknown_to_peer", named("dance")),
        ("to_peer", "type_hello_to_peer", named("hello")),
        ("link", "type_unknown_on_a_link", named("dance")),
        ("link", "type_subscribe_on_a_link", named("subscribe")),
        ("to_hub", "type_unknown_id_nil", with_id(vec![0xc0])),
        ("to_hub", "type_unknown_id_text", with_id(text("nine"))),
        ("to_hub", "type_unknown_id_bytes", with_id(vec![0xc4, 1, 9])),
        ("to_hub", "type_unknown_id_bool", with_id(vec![0xc3])),
        ("to_hub", "type_unknown_id_negative", with_id(vec![0xff])),
        ("to_hub", "type_unknown_id_fraction", with_id(float(0.5))),
        ("to_hub", "type_unknown_id_float", with_id(float(9.0))),
        ("to_hub", "type_unknown_id_list", with_id(vec![0x92, 9, 0x91, 9])),
        ("to_hub", "type_unknown_id_map", with_id(map(&[("id", vec![9])]))),
        ("to_hub", "type_unknown_id_extension", with_id(vec![0xd4, 1, 9])),
        ("to_peer", "type_unknown_id_extension_to_peer", with_id(vec![0xd4, 1, 9])),
        ("to_hub", "type_unknown_id_2_53", with_id(wide(NUMBER_MAX + 1))),
        ("to_hub", "type_unknown_id_largest_64_bits", with_id(wide(u64::MAX))),
        ("to_peer", "type_unknown_id_text_to_peer", with_id(text("nine"))),
        ("link", "type_unknown_id_list_on_a_link", with_id(vec![0x91, 9])),
    ];
    let with_id = [
        ("to_hub", "type_unknown_with_id", with_id(vec![9]), 9),
        ("to_hub", "type_unknown_with_largest_id", with_id(wide(NUMBER_MAX)), NUMBER_MAX),
        ("to_peer", "type_unknown_with_id_to_peer", with_id(vec![0]), 0),
    ];
    let without_id = without_id.map(|(family, name, bytes)| unknown(family, name, &bytes, None));
    let with_id = with_id.map(|(family, name, bytes, id)| unknown(family, name, &bytes, Some(id)));
    without_id.into_iter().chain(with_id).collect()
}

/// One field missing or wrong.
fn values() -> Vec<Value> {
    let hello = |id: Vec<u8>, protocol: Vec<u8>, client: Vec<u8>| {
        map(&[("type", text("hello")), ("id", id), ("protocol", protocol), ("client", client)])
    };
    let subscribe = |channel: Vec<u8>, more: &Fields<'_>| {
        let known = [("type", text("subscribe")), ("id", vec![2]), ("channel", channel)];
        map(&[&known, more, &[("window_bytes", vec![1])]].concat())
    };
    let window = |more: &Fields<'_>| {
        let known = [("type", text("subscribe")), ("id", vec![2]), ("channel", text("builds"))];
        map(&[&known, more].concat())
    };
    let since = |value: Vec<u8>| subscribe(text("builds"), &[("since", value)]);
    let relay = |node: Vec<u8>, children_max: Vec<u8>| {
        subscribe(text("builds"), &[("relay", map(&[("node", node), ("children_max", children_max)]))])
    };
    let report =
        |link: Vec<u8>, code: Vec<u8>| map(&[("type", text("report")), ("link", link), ("code", code)]);
    let signal =
        |fields: &Fields<'_>| map(&[("type", text("signal")), ("link", vec![7]), ("signal", map(fields))]);
    let (good, name) = (|| text("builds"), || text("x"));
    let bytes = |length: u8| [vec![0xc4, length], vec![0xf0; length.into()]].concat();
    let living = |role: Vec<u8>, token: Vec<u8>| {
        map(&[("link", vec![7]), ("peer", vec![5]), ("role", role), ("token", token)])
    };
    let links = |links: Vec<u8>| subscribe(text("builds"), &[("links", links)]);
    let resume = |fields: &Fields<'_>| {
        let known = [("type", text("hello")), ("id", vec![1]), ("protocol", vec![1]), ("client", name())];
        map(&[&known[..], &[("resume", map(fields))]].concat())
    };
    let cases = [
        ("hello_without_id", map(&[("type", text("hello")), ("protocol", vec![1]), ("client", name())])),
        ("hello_without_client", map(&[("type", text("hello")), ("id", vec![1]), ("protocol", vec![1])])),
        ("hello_id_nil", hello(vec![0xc0], vec![1], name())),
        ("hello_id_text", hello(text("1"), vec![1], name())),
        ("hello_id_negative", hello(vec![0xff], vec![1], name())),
        ("hello_id_fraction", hello(float(0.5), vec![1], name())),
        ("hello_protocol_bool", hello(vec![1], vec![0xc3], name())),
        ("hello_protocol_beyond_32_bits", hello(vec![1], vec![0xcf, 0, 0, 0, 1, 0, 0, 0, 0], name())),
        ("hello_client_nil", hello(vec![1], vec![1], vec![0xc0])),
        ("hello_client_integer", hello(vec![1], vec![1], vec![5])),
        ("channel_missing", map(&[("type", text("unsubscribe")), ("id", vec![3])])),
        ("channel_empty", subscribe(text(""), &[])),
        ("channel_of_129_bytes", subscribe(text(&"x".repeat(129)), &[])),
        ("channel_with_a_slash", subscribe(text("a/b"), &[])),
        ("channel_integer", subscribe(vec![1], &[])),
        ("since_empty", since(text(""))),
        ("since_nil", since(vec![0xc0])),
        ("since_integer", since(vec![5])),
        ("since_word", since(text("latest"))),
        ("since_not_canonical", since(text("01-5"))),
        ("since_beyond_range", since(text("1-9007199254740992"))),
        ("window_missing", window(&[])),
        ("window_nil", window(&[("window_bytes", vec![0xc0])])),
        ("window_0", window(&[("window_bytes", vec![0])])),
        ("window_negative", window(&[("window_bytes", vec![0xff])])),
        ("window_beyond_32_bits", window(&[("window_bytes", vec![0xcf, 0, 0, 0, 1, 0, 0, 0, 0])])),
        ("at_without_channel", {
            let position = map(&[("epoch", vec![1]), ("offset", vec![5])]);
            map(&[("type", text("at")), ("position", position)])
        }),
        ("relay_bool", subscribe(good(), &[("relay", vec![0xc3])])),
        ("relay_without_children_max", subscribe(good(), &[("relay", map(&[("node", text("native"))]))])),
        ("relay_unknown_node", relay(text("toaster"), vec![4])),
        ("relay_node_capital", relay(text("Browser"), vec![4])),
        ("relay_children_max_negative", relay(text("browser"), vec![0xff])),
        ("relay_children_max_beyond_16_bits", relay(text("browser"), vec![0xce, 0, 1, 0, 0])),
        ("relay_children_max_float", relay(text("browser"), float(4.0))),
        ("links_bool", links(vec![0xc3])),
        ("links_with_an_unknown_role", links([vec![0x91], living(text("aunt"), bytes(16))].concat())),
        ("links_with_a_token_of_15_bytes", links([vec![0x91], living(text("child"), bytes(15))].concat())),
        ("links_too_many", {
            let one = living(text("child"), bytes(16));
            links([vec![0xdc, 1, 1], one.repeat(LIVING_LINKS_MAX + 1)].concat())
        }),
        ("resume_without_token", resume(&[("peer", vec![1])])),
        ("resume_token_of_17_bytes", resume(&[("peer", vec![1]), ("token", bytes(17))])),
        ("resume_peer_negative", resume(&[("peer", vec![0xff]), ("token", bytes(16))])),
        ("code_beyond_16_bits", report(vec![7], vec![0xce, 0, 1, 0, 0])),
        ("code_negative", report(vec![7], vec![0xff])),
        ("code_text", report(vec![7], text("silent"))),
        ("link_text", report(text("7"), vec![0xcd, 0x0b, 0xb9])),
        ("signal_without_kind", signal(&[("sdp", name())])),
        ("signal_unknown_kind", signal(&[("kind", text("rollback")), ("sdp", name())])),
        ("signal_offer_without_sdp", signal(&[("kind", text("offer"))])),
        ("signal_candidate_without_mid", signal(&[("kind", text("candidate")), ("candidate", name())])),
        ("signal_text", map(&[("type", text("signal")), ("link", vec![7]), ("signal", name())])),
        ("ping_without_time", map(&[("type", text("ping"))])),
        ("ping_time_negative", map(&[("type", text("ping")), ("time_us", vec![0xff])])),
        ("ping_time_fraction", map(&[("type", text("ping")), ("time_us", float(0.5))])),
    ];
    cases.into_iter().map(|(name, bytes)| bad("to_hub", name, &bytes)).collect()
}

/// What only the other families have: positions, tokens, keys, reasons.
fn families() -> Vec<Value> {
    let at = |position: Vec<u8>| map(&[("type", text("at")), ("position", position)]);
    let position = |epoch: Vec<u8>, offset: Vec<u8>| map(&[("epoch", epoch), ("offset", offset)]);
    let above = vec![0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0];
    let lowest = vec![0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let good = || position(vec![1], vec![5]);
    let bytes = |length: u8| [vec![0xc4, length], vec![0xf0; length.into()]].concat();
    let join = |token: Vec<u8>, channel: Vec<u8>| {
        let hold = ("hold", vec![0xc2]);
        let known =
            [("type", text("join")), ("token", token), ("channel", channel), ("position", good()), hold];
        map(&[&known[..], &[("window_bytes", vec![1])]].concat())
    };
    let no_hold = ("hold", vec![0xc2]);
    let join_without_window =
        [("type", text("join")), ("token", bytes(16)), ("channel", vec![1]), ("position", good()), no_hold];
    let positions = [
        ("position_without_offset", at(map(&[("epoch", vec![1])]))),
        ("position_nil", at(vec![0xc0])),
        ("position_text", at(text("1-5"))),
        ("position_offset_minus_2", at(position(vec![1], vec![0xfe]))),
        ("position_offset_lowest_64_bits", at(position(vec![1], lowest))),
        ("position_offset_beyond_range", at(position(vec![1], above.clone()))),
        ("position_epoch_beyond_range", at(position(above, vec![1]))),
        ("position_epoch_negative", at(position(vec![0xff], vec![1]))),
        ("position_epoch_float_32_bits", at(position(vec![0xca, 0x3f, 0x80, 0, 0], vec![5]))),
        ("position_offset_float", at(position(vec![1], float(5.0)))),
        ("token_of_15_bytes", join(bytes(15), vec![1])),
        ("token_of_17_bytes", join(bytes(17), vec![1])),
        ("token_empty", join(bytes(0), vec![1])),
        ("token_nil", join(vec![0xc0], vec![1])),
        ("token_integer", join(vec![5], vec![1])),
        ("channel_id_beyond_32_bits", join(bytes(16), vec![0xcf, 0, 0, 0, 1, 0, 0, 0, 0])),
        ("channel_id_name", join(bytes(16), text("builds"))),
        ("window_missing_on_a_link", map(&join_without_window)),
        ("bye_without_code", map(&[("type", text("bye"))])),
    ]
    .map(|(name, bytes)| bad("link", name, &bytes));
    let gap = |reason: Vec<u8>| {
        let places = [("from", good()), ("to", good()), ("reason", reason)];
        map(&[&[("type", text("gap")), ("channel", text("builds"))], &places[..]].concat())
    };
    let welcome = |keys: Vec<u8>| {
        let ids = [("type", text("welcome")), ("id", vec![1]), ("session", vec![1]), ("peer", vec![1])];
        let rest = [
            ("resume", bytes(16)),
            ("server_time_us", vec![1]),
            ("heartbeat_ms", vec![1]),
            ("head_ms", vec![1]),
            ("ice_servers", vec![0x90]),
        ];
        map(&[&ids[..], &rest[..], &[("keys", keys)]].concat())
    };
    let place = |tier: Vec<u8>| map(&[("type", text("place")), ("channel", text("builds")), ("tier", tier)]);
    let others = [
        ("gap_unknown_reason", gap(text("whim"))),
        ("gap_reason_nil", gap(vec![0xc0])),
        ("welcome_without_resume", map(&[("type", text("welcome")), ("id", vec![1])])),
        ("key_of_31_bytes", welcome([vec![0x91], bytes(31)].concat())),
        ("keys_not_a_list", welcome(bytes(32))),
        ("tier_negative", place(vec![0xff])),
        ("offers_integer", {
            let ids = [
                ("type", text("assign")),
                ("channel", text("builds")),
                ("link", vec![7]),
                ("parent", vec![5]),
            ];
            let rest = [("token", bytes(16)), ("offers", vec![1]), ("standby", vec![0xc2])];
            map(&[&ids[..], &rest[..]].concat())
        }),
        ("error_without_reason", map(&[("type", text("error")), ("code", vec![1])])),
    ]
    .map(|(name, bytes)| bad("to_peer", name, &bytes));
    positions.into_iter().chain(others).collect()
}
