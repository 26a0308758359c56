//! `ports` of containers, as Docker writes them: `[address:][host:]container[/protocol]`, with ranges.

use tasuki_model::plan::Port;

use super::super::fields::Field;
use super::scope::Scope;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::Span;

/// Ports that one entry may mean.
const LONGEST_RANGE: u16 = 1_000;

pub(super) fn of(session: &Session<'_>, field: &Field, scope: &Scope<'_>) -> Vec<Port> {
    let text = scope.text(session, field, "`ports`");
    text.map_or_else(Vec::new, |text| of_text(session, field.span, &text))
}

/// The ports of one entry; what is wrong with it is told.
pub(super) fn of_text(session: &Session<'_>, span: Span, text: &str) -> Vec<Port> {
    parse(text).unwrap_or_else(|why| {
        let problem = Problem::new(&code::GITHUB_VALUE, span, format!("`{text}` is no port: {why}"));
        session.report(problem.hint("write `80`, `8080:80`, `127.0.0.1:8080:80/udp` or `8000-8002:9000-9002`"));
        Vec::new()
    })
}

fn parse(text: &str) -> Result<Vec<Port>, &'static str> {
    let (numbers, protocol) = match text.split_once('/') {
        Some((numbers, protocol @ ("tcp" | "udp" | "sctp"))) => (numbers, Some(protocol.to_owned())),
        Some(_) => return Err("the protocol is tcp, udp or sctp"),
        None => (text, None),
    };
    let mut parts = numbers.rsplitn(3, ':');
    let (first, last) = range(parts.next().unwrap_or_default())?;
    let host = match parts.next() {
        // `127.0.0.1::80`: any port of that address.
        None | Some("") => None,
        Some(text) => Some(range(text)?),
    };
    let address = parts.next().map(str::to_owned);
    if address.as_deref().is_some_and(|address| !is_address(address)) {
        return Err("what stands before the second colon is no address");
    }
    let longer = |(low, high): &(u16, u16)| high - low != last - first && first != last;
    if host.as_ref().is_some_and(longer) {
        return Err("the two ranges have different lengths");
    }
    if last - first >= LONGEST_RANGE {
        return Err("the range is longer than 1,000 ports");
    }
    let one = |number: u16| Port {
        number,
        protocol: protocol.clone(),
        name: None,
        // Of a range of the host for a single port the first is taken.
        host: host.map(|(low, _)| low + (number - first)),
        address: address.clone(),
    };
    Ok((first..=last).map(one).collect())
}

fn is_address(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    inner.parse::<std::net::IpAddr>().is_ok()
}

/// `80` or `80-90`.
fn range(text: &str) -> Result<(u16, u16), &'static str> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("ports are numbers from 1 to 65535"),
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (number(low)?, number(high)?) {
        (low, high) if low <= high => Ok((low, high)),
        _ => Err("the range ends before it begins"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = |port: &Port| {
            let host = port.host.map_or_else(String::new, |host| format!("{host}:"));
            let address = port
                .address
                .as_ref()
                .map_or_else(String::new, |address| format!("{address}:"));
            let protocol = port
                .protocol
                .as_ref()
                .map_or_else(String::new, |protocol| format!("/{protocol}"));
            format!("{address}{host}{}{protocol}", port.number)
        };
        let found = parse(text).map(|all| all.iter().map(shown).collect::<Vec<_>>().join(" "));
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
            _ => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn ports_are_read_as_docker_writes_them() {
        check("80", Ok("80"));
        check("8080:80", Ok("8080:80"));
        check("8080:80/udp", Ok("8080:80/udp"));
        check("127.0.0.1:8080:80", Ok("127.0.0.1:8080:80"));
        check("127.0.0.1::80", Ok("127.0.0.1:80"));
        check("[::1]:8080:80", Ok("[::1]:8080:80"));
        check("9000-9002", Ok("9000 9001 9002"));
        check("8000-8001:9000-9001/tcp", Ok("8000:9000/tcp 8001:9001/tcp"));
        check("8000-8010:80", Ok("8000:80"));
        check("", Err("numbers"));
        check("0", Err("numbers"));
        check("70000:80", Err("numbers"));
        check("80/http", Err("protocol"));
        check("here:8080:80", Err("no address"));
        check("8000-8002:9000-9001", Err("lengths"));
        check("90-80", Err("before it begins"));
        check("1-65535", Err("1,000"));
    }
}
