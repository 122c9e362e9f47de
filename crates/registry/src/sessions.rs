//! Uploads that have begun.
//!
//! A session belongs to one repository and one user, and has a random name that nobody can guess; whoever asks for one
//! that is not theirs is told that there is none. What a session has taken in durably is in its record, from which it
//! goes on after a restart. While it is being written to, it is open in memory and may be ahead of its record: a client
//! that went away in the middle finds the bytes that arrived. A session of this server alone has no record before there is
//! something to find again: most blobs come in one piece, right after their session began.
//!
//! One request writes to a session at a time; another one waits, and then finds the session further on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::digest::Algorithm;
use store::{CommitError, Revision, Txn};
use tokio::sync::OwnedMutexGuard;

use crate::access::Subject;
use crate::blobs::{Resume, Upload};
use crate::body::RequestBody;
use crate::error::{Code, Error};
use crate::intake::{Broken, Terms};
use crate::limits;
use crate::name::Repository;
use crate::records::{self, UploadRecord};
use crate::registry::Registry;

/// The sessions that are open in memory.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Slot>>);

type Slot = Arc<tokio::sync::Mutex<Option<Open>>>;

/// A session that is open: its bytes, and its record as stored.
struct Open {
    upload: Arc<dyn Upload>,
    record: UploadRecord,
    /// `None` while the record is to come.
    revision: Option<Revision>,
}

/// A session that one request has for itself.
pub(crate) struct Session {
    /// Its name.
    pub(crate) id: String,
    open: OwnedMutexGuard<Option<Open>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        // The map is right whatever panicked: a slot is in it or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a session. Sessions that nobody is using and that are not ahead of their records make room.
    fn slot(&self, id: &str) -> Result<Slot, Error> {
        let mut map = self.lock();
        if let Some(slot) = map.get(id) {
            return Ok(Arc::clone(slot));
        }
        if map.len() >= limits::OPEN_SESSIONS {
            map.retain(|_, slot| {
                slot.try_lock().map_or(true, |open| open.as_ref().is_some_and(Open::is_ahead))
            });
        }
        if map.len() >= limits::OPEN_SESSIONS {
            return Err(Error::new(Code::TooManyRequests).message("too many uploads at once"));
        }
        let slot = Slot::default();
        map.insert(id.to_owned(), Arc::clone(&slot));
        Ok(slot)
    }

    /// The slot of a session that is open.
    fn known(&self, id: &str) -> Option<Slot> {
        self.lock().get(id).map(Arc::clone)
    }

    /// Whether a new session may be without a record: what has none cannot make room.
    fn has_room(&self) -> bool {
        self.lock().len() <= limits::UNNOTED_SESSIONS
    }

    fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    /// All sessions that are open.
    fn all(&self) -> Vec<(String, Slot)> {
        self.lock().iter().map(|(id, slot)| (id.clone(), Arc::clone(slot))).collect()
    }
}

impl Open {
    fn is_ahead(&self) -> bool {
        self.revision.is_none() || self.upload.progress().offset != self.record.offset
    }

    fn belongs_to(record: &UploadRecord, who: &Subject, repository: &Repository) -> bool {
        record.repository == repository.as_str() && record.user == who.user
    }
}

impl Session {
    fn open(&self) -> &Open {
        self.open.as_ref().expect("a session that was handed out is open until it ends")
    }

    /// True when more was taken in than is durable.
    pub(crate) fn is_ahead(&self) -> bool {
        self.open().is_ahead()
    }

    /// Bytes taken in.
    pub(crate) fn offset(&self) -> u64 {
        self.open().upload.progress().offset
    }

    /// The bytes taken in.
    pub(crate) fn upload(&self) -> &Arc<dyn Upload> {
        &self.open().upload
    }

    /// The hash that runs along.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.open().upload.progress().algorithm
    }
}

impl Registry {
    /// Begins a session.
    pub(crate) async fn begin(
        &self,
        who: &Subject,
        repository: &Repository,
        algorithm: Algorithm,
    ) -> Result<Session, Error> {
        let id = self.random_id();
        let slot = self.sessions.slot(&id)?;
        let mut open = slot.lock_owned().await;
        let upload = self.blobs.open(&id, Resume::New(algorithm)).await?;
        let mut record = UploadRecord {
            repository: repository.to_string(),
            user: who.user.clone(),
            touched: 0,
            offset: 0,
            algorithm: String::new(),
            state: String::new(),
        };
        record.note(&upload.progress(), self.now());
        let waits = !self.blobs.is_shared() && self.sessions.has_room();
        let revision = if waits { None } else { Some(self.record(&id, &record, None).await?) };
        *open = Some(Open { upload, record, revision });
        Ok(Session { id, open })
    }

    /// Takes a session for one request, if it is there and belongs to who asks.
    pub(crate) async fn session(
        &self,
        who: &Subject,
        repository: &Repository,
        id: &str,
    ) -> Result<Session, Error> {
        let unknown = || Error::new(Code::BlobUploadUnknown);
        let key = records::upload_key(id).ok_or_else(unknown)?;
        // Looked at before a slot is made, so that made-up names take no room.
        let found = records::get::<UploadRecord>(&*self.store, &key).await?;
        let slot = match &found {
            Some((record, _)) if !Open::belongs_to(record, who, repository) => return Err(unknown()),
            Some(_) => self.sessions.slot(id)?,
            None => self.sessions.known(id).ok_or_else(unknown)?,
        };
        let mut open = tokio::time::timeout(limits::SESSION_WAIT, slot.lock_owned()).await.map_err(|_| {
            Error::new(Code::RangeInvalid).message("another request is writing to this upload")
        })?;
        match found {
            Some((record, revision)) if open.as_ref().is_none_or(|open| open.revision < Some(revision)) => {
                *open = Some(self.reopen(id, record, revision).await?);
            }
            Some(_) => {}
            None => {
                let is_theirs = |open: &&Open| Open::belongs_to(&open.record, who, repository);
                open.as_ref().filter(is_theirs).ok_or_else(unknown)?;
            }
        }
        Ok(Session { id: id.to_owned(), open })
    }

    /// Goes on with a session where its record says.
    async fn reopen(&self, id: &str, record: UploadRecord, revision: Revision) -> Result<Open, Error> {
        match self.blobs.open(id, Resume::At(record.progress()?)).await {
            Ok(upload) => Ok(Open { upload, record, revision: Some(revision) }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!(id, %error, "an upload cannot go on");
                Err(Error::new(Code::BlobUploadUnknown))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a session's record in the place of the one that is known, if any.
    async fn record(
        &self,
        id: &str,
        record: &UploadRecord,
        known: Option<Revision>,
    ) -> Result<Revision, CommitError> {
        let key = records::upload_key(id).expect("a session has an id");
        let value = records::encode(record);
        let txn = match known {
            Some(revision) => Txn::new().update(key, revision, value),
            None => Txn::new().create(key, value),
        };
        self.store.commit(txn).await
    }

    /// Begins a session anew with another hash; for those that have taken in nothing.
    pub(crate) async fn rehash(&self, session: &mut Session, algorithm: Algorithm) -> Result<(), Error> {
        let upload = self.blobs.open(&session.id, Resume::New(algorithm)).await?;
        if let Some(open) = session.open.as_mut() {
            open.record.note(&upload.progress(), self.now());
            open.upload = upload;
        }
        Ok(())
    }

    /// Takes a body in, at most `limit` bytes of it; returns how many came. What arrived before an error is kept.
    pub(crate) async fn receive(
        &self,
        session: &mut Session,
        body: RequestBody,
        limit: Option<u64>,
    ) -> Result<u64, Error> {
        let before = session.offset();
        let terms = Terms { limit, silence: limits::SILENCE, eager: false };
        let Err(broken) = self.intake.take_in(&**session.upload(), body, terms, &|_, _| {}).await else {
            return Ok(session.offset() - before);
        };
        match refused(broken) {
            Err(error) => {
                self.note(session).await?;
                Err(error)
            }
            Ok(error) => {
                // Only what the record says is certain: the next request opens the upload there.
                self.take_back(session).await?;
                Err(error.into())
            }
        }
    }

    /// Makes what a session has taken in durable, and notes it.
    pub(crate) async fn note(&self, session: &mut Session) -> Result<u64, Error> {
        let now = self.now();
        let Some(open) = session.open.as_mut() else {
            return Err(Error::new(Code::BlobUploadUnknown));
        };
        let progress = open.upload.sync().await?;
        let mut record = open.record.clone();
        record.note(&progress, now);
        match self.record(&session.id, &record, open.revision).await {
            Ok(revision) => {
                open.record = record;
                open.revision = Some(revision);
                Ok(progress.offset)
            }
            // Somebody else went on with it or ended it: theirs counts.
            Err(CommitError::Conflict { .. }) => {
                *session.open = None;
                Err(Error::new(Code::RangeInvalid).message("the upload was changed by another request"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back what this request wrote: the next one finds the session as its record says.
    pub(crate) async fn take_back(&self, session: &mut Session) -> Result<(), Error> {
        let Some(open) = session.open.take() else { return Ok(()) };
        if open.revision.is_none() {
            self.record(&session.id, &open.record, None).await?;
        }
        Ok(())
    }

    /// Ends a session and forgets its bytes.
    pub(crate) async fn cancel(&self, mut session: Session) -> Result<(), Error> {
        if session.open().revision.is_some() {
            let key = records::upload_key(&session.id).expect("a session has an id");
            self.store.commit(Txn::new().delete(key)).await?;
        }
        self.end(&mut session).await
    }

    /// Forgets a session whose record is gone.
    pub(crate) async fn end(&self, session: &mut Session) -> Result<(), Error> {
        *session.open = None;
        self.sessions.forget(&session.id);
        self.blobs.abort(&session.id).await?;
        Ok(())
    }

    /// Closes the sessions that nobody is using; those that are ahead of their records are noted first.
    pub(crate) async fn close_idle(&self) -> Result<(), Error> {
        for (id, slot) in self.sessions.all() {
            let Ok(open) = slot.try_lock_owned() else { continue };
            let mut session = Session { id, open };
            if session.open.as_ref().is_some_and(Open::is_ahead) {
                match self.note(&mut session).await {
                    Err(error) if error.code() != Code::RangeInvalid => return Err(error),
                    _ => {}
                }
            }
            *session.open = None;
            self.sessions.forget(&session.id);
        }
        Ok(())
    }
}

fn refused(broken: Broken) -> Result<std::io::Error, Error> {
    match broken {
        Broken::Storage(error) => Ok(error),
        Broken::TooMuch => Err(Error::new(Code::SizeInvalid).message("more bytes came than were announced")),
        Broken::Lost(why) => Err(Error::new(Code::BlobUploadInvalid)
            .status(http::StatusCode::BAD_REQUEST)
            .message(format!("the body did not arrive: {why}"))),
    }
}
