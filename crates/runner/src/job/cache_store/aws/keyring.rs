//! Which keys count, and for how long they are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tasuki_model::secret::Secret;
use tokio::sync::Semaphore;

use super::around::AwsSurroundings;
use super::metadata;
use super::sts::Sts;
use crate::config::{CacheConfig, S3Cache};
use crate::job::cache_store::s3;

/// `AssumeRoleMaxConcurrency` where it says nothing.
const ROLES_AT_ONCE: u32 = 5;

/// Keys that live longer are used again, whatever they are wanted for.
const ENOUGH: Duration = Duration::from_secs(15 * 60);

/// Keys that live shorter are not.
const TOO_SHORT: Duration = Duration::from_secs(5 * 60);

/// An access key.
#[derive(Debug, Clone)]
pub(in crate::job::cache_store) struct Keys {
    pub(in crate::job::cache_store) id: String,
    pub(in crate::job::cache_store) secret: Secret,
    pub(in crate::job::cache_store) token: Option<Secret>,
    /// Milliseconds since 1970; absent = they do not end.
    pub(in crate::job::cache_store) expires_ms: Option<i64>,
}

/// The keys of one runner. Shared by its jobs, none of which sees them.
#[derive(Debug)]
pub struct Keyring {
    around: Arc<AwsSurroundings>,
    /// Stands in Amazon's logs.
    session: String,
    /// By role; the empty one stands for whoever we are ourselves.
    known: Mutex<HashMap<String, Keys>>,
    roles: Semaphore,
    /// One at a time asks for the machine's own.
    own: tokio::sync::Mutex<()>,
}

impl Keyring {
    /// For the runner of that id and configuration. Nobody is asked yet.
    #[must_use]
    pub fn new(around: Arc<AwsSurroundings>, system_id: &str, config: &CacheConfig) -> Self {
        let at_once = config.s3.as_ref().map_or(0, |s3| s3.assume_role_max_concurrency);
        let at_once = if at_once == 0 { ROLES_AT_ONCE } else { at_once };
        let name: String = system_id
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .take(50)
            .collect();
        Self {
            around,
            session: format!("tasuki-{name}"),
            known: Mutex::default(),
            roles: Semaphore::new(usize::try_from(at_once).unwrap_or(1).min(Semaphore::MAX_PERMITS)),
            own: tokio::sync::Mutex::new(()),
        }
    }

    /// Gets the keys that the store of `config` needs for addresses that are `valid` for so long. Afterwards
    /// [`latest`](Self::latest) has them.
    ///
    /// # Errors
    /// Why there are none, without any of them.
    pub(crate) async fn ready(&self, config: &CacheConfig, valid: Duration, now: Timestamp) -> Result<(), String> {
        let (true, Some(s3)) = (config.kind == "s3", &config.s3) else {
            return Ok(());
        };
        let wanted = [s3::reader(s3), s3::writer(s3)];
        for (at, role) in wanted.iter().enumerate() {
            match role {
                Some(role) if !wanted[..at].contains(&Some(role)) => self.role(s3, role, valid, now).await?,
                None if s3::asks_the_machine(s3)? => self.own(s3, valid, now).await.map(drop)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The keys of a role, or of our own, as they were got last.
    pub(in crate::job::cache_store) fn latest(&self, role: Option<&str>) -> Option<Keys> {
        self.known().get(role.unwrap_or_default()).cloned()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Keys>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, role: &str, valid: Duration, now: Timestamp) -> Option<Keys> {
        let least = valid.clamp(TOO_SHORT, ENOUGH);
        let until = now
            .as_millisecond()
            .saturating_add(i64::try_from(least.as_millis()).ok()?);
        let known = self.known().get(role).cloned();
        known.filter(|keys| keys.expires_ms.is_none_or(|end| end > until))
    }

    async fn role(&self, s3: &S3Cache, role: &str, valid: Duration, now: Timestamp) -> Result<(), String> {
        let kept = !s3.disable_assume_role_credentials_caching;
        if kept && self.fresh(role, valid, now).is_some() {
            return Ok(());
        }
        let own = match s3::own_keys(s3)? {
            Some(keys) => keys,
            None => self.own(s3, valid, now).await?,
        };
        let _permit = self.roles.acquire().await.map_err(|error| error.to_string())?;
        // Whoever waited may find what another one got.
        if kept && self.fresh(role, valid, now).is_some() {
            return Ok(());
        }
        let keys = self.sts(s3).assume(role, &own, now).await?;
        self.known().insert(role.to_owned(), keys);
        Ok(())
    }

    /// In the order of AWS's own tools: environment, identity token, container, machine.
    async fn own(&self, s3: &S3Cache, valid: Duration, now: Timestamp) -> Result<Keys, String> {
        let _one = self.own.lock().await;
        if let Some(keys) = self.fresh("", valid, now) {
            return Ok(keys);
        }
        let around = &*self.around;
        let keys = if let Some(keys) = &around.keys {
            keys.clone()
        } else if let Some((file, role)) = &around.web_identity {
            let token = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
            let token = Secret::new(token.trim());
            self.sts(s3).assume_by_token(role, &token, now).await?
        } else if let Some(address) = &around.container {
            let keys = metadata::of_container(address, around).await;
            keys.map_err(|error| format!("the container's keys cannot be had: {error}"))?
        } else {
            metadata::of_machine(around)
                .await
                .map_err(|error| format!("the machine's keys cannot be had: {error}"))?
        };
        self.known().insert(String::new(), keys.clone());
        Ok(keys)
    }

    fn sts<'a>(&'a self, s3: &'a S3Cache) -> Sts<'a> {
        Sts {
            around: &self.around,
            region: s3::region(s3),
            session: &self.session,
        }
    }
}
