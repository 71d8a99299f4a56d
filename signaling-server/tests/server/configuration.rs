//! Configuration: what overrides what, and that every mistake is named together with its cure.

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use tiercast_signaling_server::{
    Config, CorsOrigins, Layers,
    source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig, Mode, RetentionConfig},
};

fn load(text: &str) -> Result<Config, String> {
    Layers::default().with_toml("test.toml", text).load().map_err(|errors| errors.to_string())
}

fn problem(text: &str) -> anyhow::Result<String> {
    load(text).err().with_context(|| format!("accepted: {text}"))
}

#[test]
fn nothing_at_all_is_a_valid_configuration() -> anyhow::Result<()> {
    let config = load("").map_err(anyhow::Error::msg)?;
    ensure!(config.listen.to_string() == "127.0.0.1:8780" && config.api_keys.is_empty());
    ensure!(config.embedded_channels.iter().map(|name| name.as_str()).eq(["events"]));
    Ok(())
}

#[test]
fn a_whole_file_is_read() -> anyhow::Result<()> {
    let text = r#"
        listen = "[::]:80"
        api_keys = ["first-key", "second-key"]
        log = "warn,tiercast_signaling_server=debug"
        signing_key_file = "/tmp/key"
        signing_key_create = true
        state_dir = "/var/lib/tiercast"
        data_dir = "/var/lib/tiercast/events"
        cors_origins = ["https://app.example.org", "http://localhost:5173"]
        store = { max_age_s = 60, max_bytes = 2_000_000 }
        geo_database_file = "/var/lib/cities.mmdb"
        [hub]
        heartbeat_ms = 5_000
        tier1_max = 64
        [limits]
        writer_queue_messages = 4
        [amqp]
        url = "amqp://me:hunter2@broker/%2f"
        heartbeat_s = 7
        connect_timeout_ms = 1_000
        rpc_timeout_ms = 2_000
        max_event_bytes = 4_096
        [[channels]]
        name = "local"
        [[channels]]
        name = "builds"
        source = "amqp"
        mode = "queue"
        history_s = 0
        bindings = [{ exchange = "ci", patterns = ["build.#", "b"] }]
        retention = { max_age_s = 60, segment_bytes = 1_000_000 }
        [[ice_servers]]
        urls = ["stun:stun.example.org:3478"]
    "#;
    let config = load(text).map_err(anyhow::Error::msg)?;
    ensure!(config.listen.port() == 80 && config.api_keys.len() == 2);
    ensure!(config.state_dir.as_deref() == Some(Path::new("/var/lib/tiercast")));
    ensure!(config.data_dir.as_deref() == Some(Path::new("/var/lib/tiercast/events")));
    let listed = ["https://app.example.org".parse()?, "http://localhost:5173".parse()?];
    ensure!(config.cors_origins == CorsOrigins::Listed(listed.into()));
    ensure!(config.store.retention.max_age == Duration::from_secs(60));
    ensure!(config.store.retention.max_bytes == 2_000_000);
    ensure!(config.geo_database_file.as_deref() == Some(Path::new("/var/lib/cities.mmdb")));
    ensure!(config.hub.heartbeat == Duration::from_secs(5) && config.hub.tier1.max == 64);
    ensure!(config.limits.writer_queue_messages == 4 && config.hub.ice_servers.len() == 1);
    let amqp = config.amqp.clone().context("a broker")?;
    ensure!(amqp.heartbeat_s == 7 && amqp.connect_timeout_ms == 1_000 && amqp.rpc_timeout_ms == 2_000);
    ensure!(
        amqp.max_event_bytes == 4_096
            && amqp.channels.len() == 1
            && amqp.channels[0].name.as_str() == "builds"
    );
    let AmqpChannelConfig { mode, bindings, history_s, retention, .. } = &amqp.channels[0];
    ensure!(
        *mode == Mode::Queue && *history_s == 0 && *bindings == [BindingConfig::new("ci", ["build.#", "b"])?]
    );
    ensure!(*retention == RetentionConfig { max_age_s: 60, segment_bytes: 1_000_000 });
    ensure!(config.embedded_channels.iter().map(|name| name.as_str()).eq(["local"]));
    let printed = format!("{config:?} {}", config.summary());
    ensure!(!printed.contains("hunter2") && !printed.contains("first-key"), "{printed}");
    Ok(())
}

#[test]
fn an_origin_that_no_browser_sends_is_named_with_its_place_and_its_cure() -> anyhow::Result<()> {
    for (origins, place, cure) in [
        (r#"["https://a.example", "https://b.example/"]"#, "test.toml: cors_origins[1]", "without a path"),
        (r#"["https://*.example"]"#, "cors_origins[0]", "list each site"),
        (r#"["*", "https://a.example"]"#, "cors_origins[0]", "stands alone"),
        (r#"["null"]"#, "cors_origins[0]", r#"["*"]"#),
        (r#"["https://a.example:443"]"#, "cors_origins[0]", "write it without"),
        (r#""*""#, "cors_origins", "write a list"),
    ] {
        let problem = problem(&format!("cors_origins = {origins}"))?;
        ensure!(problem.contains(place) && problem.contains(cure), "{problem}");
    }
    let config = |text| load(text).map_err(anyhow::Error::msg);
    ensure!(config("")?.cors_origins == CorsOrigins::Any);
    ensure!(config(r#"cors_origins = ["*"]"#)?.cors_origins == CorsOrigins::Any);
    ensure!(config("cors_origins = []")?.cors_origins == CorsOrigins::Listed(Vec::new()));
    Ok(())
}

#[test]
fn variables_override_the_file_and_flags_override_both() -> anyhow::Result<()> {
    let variables = [
        ("TIERCAST_HUB__HEARTBEAT_MS", "2000"),
        ("TIERCAST_HUB__LINK_TRIES", "7"),
        ("TIERCAST_API_KEYS", "one-long-key, another-key"),
        ("TIERCAST_CHANNELS", "[{ name = \"from-env\" }]"),
        ("TIERCAST_CONFIG", "not a key"),
        ("PATH", "not ours"),
    ];
    let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Layers::default()
        .with_toml("test.toml", "[hub]\nheartbeat_ms = 1_000\nlink_tries = 1\nsessions_max = 9")
        .with_env(owned)
        .with_set("--set", "hub.heartbeat_ms", "3000")
        .load()?;
    ensure!(config.hub.heartbeat == Duration::from_secs(3));
    ensure!(config.hub.link_tries == 7 && config.hub.sessions_max == 9 && config.api_keys.len() == 2);
    ensure!(config.embedded_channels[0].as_str() == "from-env");
    Ok(())
}

/// What one variable or `--set` gives.
fn set(path: &str, text: &str) -> Result<Config, String> {
    Layers::default().with_set("--set", path, text).load().map_err(|errors| errors.to_string())
}

#[test]
fn regression_an_empty_path_is_named_with_its_cure_wherever_it_is_written() -> anyhow::Result<()> {
    for key in ["data_dir", "state_dir", "signing_key_file", "geo_database_file"] {
        let cure = format!("{key}: it is empty: write a path, or leave the key out");
        let in_file = problem(&format!("{key} = \"\""))?;
        ensure!(in_file.contains(&format!("test.toml: {cure}")), "{in_file}");
        let by_flag = set(key, "").err().context("accepted")?;
        ensure!(by_flag.contains(&format!("--set: {cure}")), "{by_flag}");
    }
    Ok(())
}

#[test]
fn regression_a_list_may_be_written_as_in_toml_by_flag_and_variable() -> anyhow::Result<()> {
    for text in ["a-long-key,another-key", r#"["a-long-key", "another-key"]"#, "['a-long-key','another-key']"]
    {
        let config = set("api_keys", text).map_err(anyhow::Error::msg)?;
        let keys: Vec<_> = config.api_keys.iter().map(|key| key.secret()).collect();
        ensure!(keys == ["a-long-key", "another-key"], "{text}");
    }
    for text in ["[a-long-key,another-key]", r#"["a-long-key", 7]"#, r#"["a-long-key"#, "[]\nlisten = \"h\""]
    {
        let problem = set("api_keys", text).err().context("accepted")?;
        ensure!(problem.contains(
            r#"--set: api_keys: it begins with `[` and is no list of texts: write ["a", "b"], or a,b"#
        ));
        ensure!(!problem.contains("a-long-key"), "{problem}");
    }
    let problem = set("channels", r#"["a", "b"]"#).err().context("accepted")?;
    ensure!(
        problem.contains(r#"channels[0]: found a text: write a section in braces, { KEY = VALUE, ... }"#),
        "{problem}"
    );
    Ok(())
}

#[test]
fn an_unknown_key_anywhere_is_named_with_its_place_and_the_nearest_known_one() -> anyhow::Result<()> {
    for (text, place, nearest) in [
        ("lisen = \"x\"", "test.toml: lisen", "`listen`"),
        ("[hub]\nhartbeat_ms = 1", "hub.hartbeat_ms", "`hub.heartbeat_ms`"),
        ("heartbeat_ms = 1", "heartbeat_ms", "`hub.heartbeat_ms`"),
        ("[hubb]\nheartbeat_ms = 1", "hubb", "`"),
        ("[[channels]]\nname = \"a\"\nhistory_ms = 1", "channels[0].history_ms", "`channels[].history_s`"),
        (
            "[[channels]]\nname = \"a\"\nbindings = [{ exchange = \"x\", patern = [] }]",
            "channels[0].bindings[0].patern",
            "`channels[].bindings[].patterns`",
        ),
        ("[[ice_servers]]\nurl = []", "ice_servers[0].url", "`ice_servers[].urls`"),
    ] {
        let problem = problem(text)?;
        ensure!(problem.contains(place) && problem.contains("unknown key"), "{problem}");
        ensure!(problem.contains(nearest), "{problem}");
    }
    let variable = [("TIERCAST_HUB__HARTBEAT_MS".to_owned(), "1".to_owned())];
    let error = Layers::default().with_env(variable).load().err().context("accepted")?.to_string();
    ensure!(error.contains("`TIERCAST_HUB__HEARTBEAT_MS`"), "{error}");
    Ok(())
}

#[test]
fn a_wrong_value_names_its_key_and_the_cure() -> anyhow::Result<()> {
    let channel = "[[channels]]\nname = \"a\"\n";
    let amqp = "[[channels]]\nname = \"a\"\nsource = \"amqp\"\nbindings = [{ exchange = \"x\", patterns = [\"#\"] }]\n";
    let dynamic = |vhost: &str, exchange: &str| {
        format!("[amqp]\nurl = \"amqp://x/{vhost}\"\n[amqp.dynamic]\nexchanges = [{exchange}]")
    };
    let cases = [
        ("listen = \"localhost\"".to_owned(), "listen", "127.0.0.1:8780"),
        ("listen = 80".to_owned(), "listen", "a text in quotes"),
        ("api_keys = [\"short\"]".to_owned(), "api_keys", "at least 8"),
        ("api_keys = \"a-long-key\"".to_owned(), "api_keys", "a list of texts"),
        ("open_topology = \"yes\"".to_owned(), "open_topology", "true or false"),
        ("log = \"loud=very\"".to_owned(), "log", "info"),
        ("signing_key_create = true".to_owned(), "signing_key_create", "signing_key_file"),
        ("[hub]\nheartbeat_ms = \"10s\"".to_owned(), "hub.heartbeat_ms", "whole number"),
        ("[hub]\nheartbeat_ms = -1".to_owned(), "hub.heartbeat_ms", "positive"),
        ("[hub]\nheartbeat_ms = 49".to_owned(), "hub.heartbeat_ms", "use 50 to 3600000"),
        ("[hub]\ntier1_min = 9\ntier1_max = 3".to_owned(), "hub.tier1_min", "hub.tier1_max"),
        ("[limits]\npublish_bytes = 5_000_000".to_owned(), "limits.publish_bytes", "use 1 to"),
        ("hub = 1".to_owned(), "hub", "a section"),
        ("channels = \"events\"".to_owned(), "channels", "[[channels]]"),
        ("channels = []".to_owned(), "channels", "add a [[channels]] section"),
        ("[[channels]]\nname = \"a/b\"".to_owned(), "channels[0].name", "A-Z a-z 0-9"),
        ("[[channels]]\nsource = \"embedded\"".to_owned(), "channels[0].name", "write name"),
        (format!("{channel}{channel}"), "channels[1].name", "rename one"),
        (format!("{channel}source = \"kafka\""), "channels[0].source", "\"embedded\" or \"amqp\""),
        (format!("{channel}mode = \"stream\""), "channels[0].mode", "source = \"amqp\""),
        (amqp.to_owned(), "channels[0].source", "[amqp]"),
        (format!("{amqp}[amqp]\nheartbeat_s = 5"), "amqp.url", "amqp://"),
        (format!("{amqp}[amqp]\nurl = \"http://me:hunter2@x\""), "amqp.url", "amqp://USER"),
        (format!("{amqp}[amqp]\nurl = [\"amqp://x\", \"me:hunter2@y\"]"), "amqp.url[1]", "amqp://USER"),
        (
            format!("{amqp}[amqp]\nurl = [\"amqp://x\", \"amqp://me:hunter2@y\"]"),
            "amqp.url[1]",
            "one cluster",
        ),
        (format!("{amqp}[amqp]\nurl = []"), "amqp.url", "amqp://USER"),
        (format!("{amqp}[amqp]\nurl = 5672"), "amqp.url", "a list of texts"),
        (format!("{amqp}mode = \"classic\"\n[amqp]\nurl = \"amqp://x\""), "channels[0].mode", "classic"),
        (format!("{channel}[amqp]\nurl = \"amqp://x\""), "amqp", "source = \"amqp\""),
        (
            format!("[[channels]]\nname = \"b\"\n{amqp}history_s = -1\n[amqp]\nurl = \"amqp://x\""),
            "channels[1].history_s",
            "positive",
        ),
        (
            format!(
                "[[channels]]\nname = \"b\"\n{}[amqp]\nurl = \"amqp://x\"",
                amqp.replace("\"#\"", "\"a#\"")
            ),
            "channels[1].bindings[0].patterns[0]",
            "stand alone between dots",
        ),
        ("[[channels]]\nname = \"dynamic.a\"".to_owned(), "channels[0].name", "rename it"),
        (dynamic("b", "\"\""), "amqp.dynamic.exchanges[0]", "name another"),
        (dynamic("b", "5"), "amqp.dynamic.exchanges", "a list of texts"),
        (dynamic(&"v".repeat(32), "\"ci/*\""), "amqp.dynamic.exchanges", "virtual host"),
        (dynamic("b", "\"ci/*\"]\nlinger_ms = [86_400_001"), "amqp.dynamic.linger_ms", "whole number"),
        ("[[ice_servers]]\nurls = [\"http://x\"]".to_owned(), "ice_servers[0].urls", "stun:"),
        ("[[ice_servers]]\nurls = [\"turn:x\"]".to_owned(), "ice_servers[0]", "credential"),
        ("listen = ".to_owned(), "test.toml", "line 1"),
    ];
    for (text, key, cure) in cases {
        let problem = problem(&text)?;
        ensure!(problem.contains(key) && problem.contains(cure), "{text}\n=> {problem}");
        ensure!(!problem.contains("hunter2"), "{problem}");
    }
    Ok(())
}

/// The keys at fault, each once.
fn keys(problems: &str) -> Vec<&str> {
    problems.lines().filter_map(|line| line.trim_start_matches("test.toml: ").split(": ").next()).collect()
}

#[test]
fn a_broker_may_have_no_channel_but_those_that_clients_ask_for() -> anyhow::Result<()> {
    let text = "[amqp]\nurl = \"amqp://x\"\n[amqp.dynamic]\nexchanges = [\"ci/*\", \"x\"]\nexchanges_max = 3\n\
                [amqp.dynamic.retention]\nmax_age_s = 60";
    let config = Layers::default().with_toml("test.toml", text).load()?;
    config.validate()?;
    let dynamic = config.amqp.context("a broker")?.dynamic;
    ensure!(dynamic.exchanges == ["ci/*".parse()?, "x".parse()?]);
    ensure!((dynamic.exchanges_max, dynamic.retention.max_age_s) == (3, 60));
    ensure!(config.embedded_channels.is_empty());
    Ok(())
}

#[test]
fn a_broker_may_be_several_nodes_of_a_cluster() -> anyhow::Result<()> {
    let channel = "[[channels]]\nname = \"a\"\nsource = \"amqp\"\nbindings = [{ exchange = \"x\", patterns = [\"#\"] }]";
    let file = format!("[amqp]\nurl = [\"amqp://one\", \"amqp://two:5673\"]\n{channel}");
    let variable = ("TIERCAST_AMQP__URL".to_owned(), "amqp://one, amqp://two:5673".to_owned());
    let layers = Layers::default();
    for layers in
        [layers.clone().with_toml("test.toml", &file), layers.with_toml("", channel).with_env([variable])]
    {
        let amqp = layers.load()?.amqp.context("a broker")?;
        ensure!(amqp.url == "amqp://one".parse()?);
        ensure!(amqp.other_urls == ["amqp://two:5673".parse()?]);
    }
    Ok(())
}

#[test]
fn every_mistake_of_a_file_is_named_at_once() -> anyhow::Result<()> {
    let text = r##"
        listen = "localhost"
        api_keys = ["short", "long-enough", "with space"]
        signing_key_create = true
        log = "loud=very"
        open_topology = "yes"
        [hub]
        heartbeat_ms = 1
        tier1_min = 9
        tier1_max = 3
        [amqp]
        url = "http://me:hunter2@x"
        [[channels]]
        name = "a/b"
        mode = "stream"
        history_s = 1
        [[channels]]
        name = "c/d"
        source = "amqp"
        mode = "classic"
        history_s = -1
        bindings = [{ exchange = "", patterns = ["a#", "*b"] }]
        [[channels]]
        source = "amqp"
        bindings = [{ exchange = "x" }]
        [[ice_servers]]
        urls = ["http://x", "turn:x"]
    "##;
    let problems = problem(text)?;
    let mut found = keys(&problems);
    found.sort_unstable();
    let expected = [
        "amqp.url",
        "api_keys[0]",
        "api_keys[2]",
        "channels[0].history_s",
        "channels[0].mode",
        "channels[0].name",
        "channels[1].bindings[0].exchange",
        "channels[1].bindings[0].patterns[0]",
        "channels[1].bindings[0].patterns[1]",
        "channels[1].history_s",
        "channels[1].mode",
        "channels[1].name",
        "channels[2].bindings[0].patterns",
        "channels[2].name",
        "hub.heartbeat_ms",
        "hub.tier1_min",
        "ice_servers[0]",
        "ice_servers[0].urls",
        "listen",
        "log",
        "open_topology",
        "signing_key_create",
    ];
    ensure!(found == expected, "{problems}");
    ensure!(!problems.contains("hunter2"), "{problems}");
    Ok(())
}

#[test]
fn regression_ten_mistakes_are_all_named_with_their_file() -> anyhow::Result<()> {
    let text = r#"
        listen = "localhost"
        [hub]
        heartbeat_ms = 1
        tier1_min = 9
        tier1_max = 3
        [amqp]
        url = "amqp:/x"
        heartbeat_s = 0
        [[channels]]
        name = "a/b"
        [[channels]]
        name = "same"
        [[channels]]
        name = "same"
        source = "amqp"
        bindings = [{ exchange = "x", patterns = ["a#"] }]
        [[channels]]
        name = "c"
        source = "kafka"
        [[ice_servers]]
        urls = ["http://x"]
    "#;
    let problems = problem(text)?;
    let mut expected = vec![
        ("amqp.heartbeat_s", "use 1 to 60"),
        ("amqp.url", "write amqp://USER:PASSWORD@HOST:PORT/VHOST"),
        ("channels[0].name", "use 1 to 128 of A-Z"),
        ("channels[2].bindings[0].patterns[0]", "stand alone between dots"),
        ("channels[2].name", "`same` is the name of channels[1], too: rename one"),
        ("channels[3].source", "write \"embedded\" or \"amqp\""),
        ("hub.heartbeat_ms", "use 50 to 3600000"),
        ("hub.tier1_min", "lower one or raise the other"),
        ("ice_servers[0].urls", "stun:"),
        ("listen", "such as 127.0.0.1:8780"),
    ];
    let mut lines: Vec<_> = problems.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    ensure!(lines.len() == expected.len(), "{problems}");
    for (line, (key, cure)) in lines.into_iter().zip(expected) {
        ensure!(line.starts_with(&format!("test.toml: {key}: ")) && line.contains(cure), "{line}");
    }
    Ok(())
}

#[test]
fn regression_a_mistake_is_named_with_the_layer_that_made_it() -> anyhow::Result<()> {
    let file = "listen = \"localhost\"\n[hub]\ntier1_min = 9\n[[channels]]\nname = \"a/b\"";
    let variable = ("TIERCAST_HUB__TIER1_MAX".to_owned(), "3".to_owned());
    let layers = || Layers::default().with_toml("test.toml", file).with_env([variable.clone()]);
    let says = |layers: Layers, expected: &[&str]| -> anyhow::Result<()> {
        let problems = layers.load().err().context("accepted")?.to_string();
        let mut starts: Vec<_> =
            problems.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
        starts.sort_unstable();
        ensure!(starts == expected, "{problems}");
        Ok(())
    };
    says(layers(), &["test.toml: channels[0].name", "test.toml: hub.tier1_min", "test.toml: listen"])?;
    let flags = ["ok", "b b", "ok"].map(str::to_owned);
    says(
        layers().with_channels(&flags).with_set("--listen", "listen", "nowhere"),
        &[
            "--channel: channels[1].name",
            "--channel: channels[2].name",
            "--listen: listen",
            "test.toml: hub.tier1_min",
        ],
    )
}

#[test]
fn what_only_follows_from_a_mistake_is_not_named() -> anyhow::Result<()> {
    let broker = "[amqp]\nurl = \"amqp://x\"\n";
    let fed = "[[channels]]\nsource = \"amqp\"\n";
    let cases = [
        ("[hub]\ntier1_min = \"9\"\ntier1_max = 1".to_owned(), "hub.tier1_min"),
        ("[[channels]]\nname = \"a/b\"".to_owned(), "channels[0].name"),
        ("[[channels]]\nname = 5".to_owned(), "channels[0].name"),
        ("channels = \"events\"".to_owned(), "channels"),
        (
            format!("amqp = 5\n{fed}name = \"a\"\nbindings = [{{ exchange = \"x\", patterns = [\"#\"] }}]"),
            "amqp",
        ),
        (
            format!("{broker}{fed}name = 5\nbindings = [{{ exchange = \"x\", patterns = [\"#\"] }}]"),
            "channels[0].name",
        ),
        (format!("{broker}{fed}name = \"a\"\nbindings = [\"x\"]"), "channels[0].bindings[0]"),
        (format!("{broker}[[channels]]\nname = \"a\"\nsource = 5\nmode = \"stream\""), "channels[0].source"),
        ("signing_key_file = 5\nsigning_key_create = true".to_owned(), "signing_key_file"),
        ("[[ice_servers]]\nurls = 5".to_owned(), "ice_servers[0].urls"),
        ("[[channels]]\nname = \"a\"\n[[channels]]\nname = \"a\"".to_owned(), "channels[1].name"),
    ];
    for (text, key) in cases {
        let problems = problem(&text)?;
        ensure!(keys(&problems) == [key], "{text}\n=> {problems}");
    }
    Ok(())
}

#[test]
fn mistakes_of_one_layer_do_not_hide_those_of_another() -> anyhow::Result<()> {
    let variables = [("TIERCAST_HUB__LINK_TRIES", "many"), ("TIERCAST_LISTN", "x")];
    let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (file, first) in [("lisen = \"x\"", "test.toml: lisen"), ("listen = ", "test.toml: line 1")] {
        let problems = Layers::default()
            .with_toml("test.toml", file)
            .with_env(owned.clone())
            .with_set("--set", "hub.heartbeat_ms", "1")
            .with_set("--listen", "listen", "localhost")
            .load()
            .err()
            .context("accepted")?
            .to_string();
        let others = [
            "TIERCAST_HUB__LINK_TRIES: hub.link_tries",
            "TIERCAST_LISTN",
            "--set: hub.heartbeat_ms",
            "listen: `localhost`",
        ];
        for expected in std::iter::once(first).chain(others) {
            ensure!(problems.contains(expected), "{expected} is not in\n{problems}");
        }
        ensure!(problems.lines().count() == 5, "{problems}");
    }
    Ok(())
}

#[test]
fn what_a_file_that_cannot_be_read_may_hold_is_not_missed() -> anyhow::Result<()> {
    let variable = [("TIERCAST_AMQP__HEARTBEAT_S".to_owned(), "5".to_owned())];
    let problems = Layers::default().with_file("/nowhere.toml").with_env(variable).load().err();
    let problems = problems.context("accepted")?.to_string();
    ensure!(problems.lines().count() == 1 && problems.contains("/nowhere.toml"), "{problems}");
    Ok(())
}

#[test]
fn a_configuration_made_in_code_is_checked_too() -> anyhow::Result<()> {
    let mut config = Config::default();
    config.hub.heartbeat = Duration::ZERO;
    let errors = config.validate().err().context("accepted")?;
    ensure!(errors.to_string().contains("hub.heartbeat_ms: 0 is out of bounds"), "{errors}");

    let mut channel = AmqpChannelConfig::new("n".repeat(49).parse()?, Vec::new());
    channel.history_s = u64::MAX;
    config = Config { amqp: Some(AmqpConfig::new("amqp://x".parse()?, vec![channel])), ..Config::default() };
    let errors = config.validate().err().context("accepted")?.to_string();
    for expected in ["amqp.channels[0].name: ", "amqp.channels[0].history_s: ", "amqp.channels[0].bindings: "]
    {
        ensure!(errors.contains(expected), "{expected} is not in\n{errors}");
    }
    Ok(())
}
