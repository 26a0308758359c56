//! Users of this machine.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// Whom a program runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, its own included.
    pub groups: Vec<u32>,
    pub home: PathBuf,
}

impl User {
    /// Looks `name` up in `/etc/passwd` and `/etc/group`. Users of a directory service have to be listed there, too.
    ///
    /// # Errors
    /// There is no such user.
    pub fn find(name: &str) -> Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::system("read /etc/passwd"))?;
        let group = fs::read_to_string("/etc/group").unwrap_or_default();
        Self::parse(name, &passwd, &group).ok_or_else(|| Error::NoUser { name: name.to_owned() })
    }

    /// Whether we have the rights to become somebody else.
    #[must_use]
    pub fn switchable() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn parse(name: &str, passwd: &str, group: &str) -> Option<Self> {
        let fields: Vec<&str> = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name))?;
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        let mut groups = vec![gid];
        for line in group.lines() {
            let mut fields = line.split(':').skip(2);
            let (Some(Ok(id)), Some(members)) = (fields.next().map(str::parse), fields.next()) else {
                continue;
            };
            if members.split(',').any(|member| member == name) && !groups.contains(&id) {
                groups.push(id);
            }
        }
        Some(Self {
            name: name.to_owned(),
            uid,
            gid,
            groups,
            home: PathBuf::from(fields.get(5)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_supplementary_groups() {
        let passwd = "root:x:0:0::/root:/bin/sh\nci:x:1001:1001:CI,,,:/home/ci:/bin/bash\n";
        let group = "ci:x:1001:\ndocker:x:998:ann,ci\nother:x:997:cid\nbroken\n";
        let user = User::parse("ci", passwd, group);
        let wanted = User {
            name: "ci".to_owned(),
            uid: 1001,
            gid: 1001,
            groups: vec![1001, 998],
            home: PathBuf::from("/home/ci"),
        };
        assert_eq!(user, Some(wanted));
        assert_eq!(User::parse("c", passwd, group), None);
    }
}
