//! Ruby's `File.fnmatch` with `PATHNAME | DOTMATCH | EXTGLOB`: the globs of `changes`, `exists` and
//! `cache:key:files`.
//!
//! `*` and `?` stop at `/`; `**/` stands for any number of folders, none included; a `**` that no `/`
//! follows is a plain `*`, so `dir/**` means direct children only. `{a,b}` and `[a-z]` work, dot files
//! match, and the pattern must match the whole path, case-sensitively.

/// A pattern, with its braces expanded.
#[derive(Debug, Clone)]
pub struct Glob {
    alternatives: Vec<Vec<char>>,
}

/// Braces that expand to more patterns than this are cut there; nobody writes them by hand.
const MAX_ALTERNATIVES: usize = 1_000;
/// Braces beyond this many are taken literally.
const MAX_BRACES: usize = 64;

impl Glob {
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let mut alternatives = Vec::new();
        expand(pattern.chars().collect(), 0, MAX_BRACES, &mut alternatives);
        Self { alternatives }
    }

    /// The only path it can match, where it has no special characters.
    #[must_use]
    pub fn literal(pattern: &str) -> Option<&str> {
        (!pattern.contains(['*', '?', '[', '{', '\\'])).then_some(pattern)
    }

    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        self.matches_chars(&path)
    }

    /// Like [`Self::matches`] for a path that is tested against many patterns.
    #[must_use]
    pub fn matches_chars(&self, path: &[char]) -> bool {
        self.alternatives.iter().any(|pattern| matches(pattern, path))
    }
}

/// Expands the first brace that has its counterpart, left to right, inner braces later.
fn expand(pattern: Vec<char>, from: usize, depth_left: usize, out: &mut Vec<Vec<char>>) {
    if out.len() >= MAX_ALTERNATIVES {
        return;
    }
    let Some((open, close)) = braces(&pattern, from).filter(|_| depth_left > 0) else {
        out.push(pattern);
        return;
    };
    let (mut depth, mut start) = (0, open + 1);
    for at in open..=close {
        match pattern[at] {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        let ends = (pattern[at] == ',' && depth == 1) || at == close;
        if ends {
            let mut whole = pattern[..open].to_vec();
            whole.extend_from_slice(&pattern[start..at]);
            whole.extend_from_slice(&pattern[close + 1..]);
            expand(whole, open, depth_left - 1, out);
            start = at + 1;
        }
    }
}

fn braces(pattern: &[char], from: usize) -> Option<(usize, usize)> {
    let (mut depth, mut open, mut at) = (0_usize, None, from);
    while at < pattern.len() {
        match pattern[at] {
            '\\' => at += 1,
            '{' => {
                depth += 1;
                open.get_or_insert(at);
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return open.map(|open| (open, at));
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The outer loop of Ruby's `fnmatch`: segment by segment, going back to the last `**/`.
fn matches(pattern: &[char], path: &[char]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(&['*', '*', '/']) {
            while pattern[p..].starts_with(&['*', '*', '/']) {
                p += 3;
            }
            back = Some((p, s));
        }
        if let Some((p_end, s_end)) = segment(pattern, p, path, s) {
            let s_slash = next_slash(path, s_end);
            match (p_end < pattern.len(), s_slash < path.len()) {
                (true, true) => {
                    p = p_end + 1;
                    s = s_slash + 1;
                    continue;
                }
                (false, false) => return true,
                (true, false) | (false, true) => {}
            }
        }
        let Some((p_back, s_back)) = back else { return false };
        let s_slash = next_slash(path, s_back);
        if s_slash >= path.len() {
            return false;
        }
        p = p_back;
        s = s_slash + 1;
        back = Some((p_back, s));
    }
}

fn next_slash(path: &[char], from: usize) -> usize {
    path[from..]
        .iter()
        .position(|c| *c == '/')
        .map_or(path.len(), |at| from + at)
}

/// Matches up to the end of this segment of both; gives where each stands then.
fn segment(pattern: &[char], mut p: usize, path: &[char], mut s: usize) -> Option<(usize, usize)> {
    let at_end = |text: &[char], at: usize| text.get(at).is_none_or(|c| *c == '/');
    let mut back: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            Some('*') => {
                while pattern.get(p) == Some(&'*') {
                    p += 1;
                }
                let unescaped = unescape(pattern, p);
                if at_end(pattern, unescaped) {
                    return Some((unescaped, s));
                }
                if at_end(path, s) {
                    return None;
                }
                back = Some((p, s));
                continue;
            }
            Some('?') => {
                if at_end(path, s) {
                    return None;
                }
                p += 1;
                s += 1;
                continue;
            }
            Some('[') => {
                if at_end(path, s) {
                    return None;
                }
                if let Some(after) = bracket(pattern, p + 1, path[s]) {
                    p = after;
                    s += 1;
                    continue;
                }
            }
            _ => {
                p = unescape(pattern, p);
                if at_end(path, s) {
                    return at_end(pattern, p).then_some((p, s));
                }
                if !at_end(pattern, p) && pattern[p] == path[s] {
                    p += 1;
                    s += 1;
                    continue;
                }
            }
        }
        let (p_back, s_back) = back?;
        p = p_back;
        s = s_back + 1;
        back = Some((p, s));
    }
}

fn unescape(pattern: &[char], at: usize) -> usize {
    if pattern.get(at) == Some(&'\\') && at + 1 < pattern.len() {
        at + 1
    } else {
        at
    }
}

/// `[a-z]`, `[!a]`, `[^a]`: where the pattern goes on if `c` is in the set.
fn bracket(pattern: &[char], mut p: usize, c: char) -> Option<usize> {
    let negated = matches!(pattern.get(p), Some('!' | '^'));
    if negated {
        p += 1;
    }
    let mut found = false;
    while *pattern.get(p)? != ']' {
        p = unescape(pattern, p);
        let low = *pattern.get(p)?;
        p += 1;
        if pattern.get(p) == Some(&'-') && pattern.get(p + 1).is_some_and(|c| *c != ']') {
            p = unescape(pattern, p + 1);
            let high = *pattern.get(p)?;
            p += 1;
            found |= (low..=high).contains(&c);
        } else {
            found |= low == c;
        }
    }
    (found != negated).then_some(p + 1)
}
