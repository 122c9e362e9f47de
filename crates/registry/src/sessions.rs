//! Uploads that have begun.
//!
//! A session belongs to one repository and one user, and has a random name that nobody can guess; whoever asks for one
//! that is not theirs is told that there is none. What a session has taken in durably is in its record, from which it
//! goes on after a restart. While it is being written to, it is open in memory and may be ahead of its record: a client
//! that went away in the middle finds the bytes that arrived.
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
use crate::intake::{self, Broken, Terms};
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
    revision: Revision,
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
        self.upload.progress().offset != self.record.offset
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
        let key = records::upload_key(&id).expect("ids made here are ids");
        let revision = self.store.commit(Txn::new().create(key, records::encode(&record))).await?;
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
        let (record, revision) = found.ok_or_else(unknown)?;
        if record.repository != repository.as_str() || record.user != who.user {
            return Err(unknown());
        }
        let slot = self.sessions.slot(id)?;
        let mut open = tokio::time::timeout(limits::SESSION_WAIT, slot.lock_owned()).await.map_err(|_| {
            Error::new(Code::RangeInvalid).message("another request is writing to this upload")
        })?;
        if open.as_ref().is_none_or(|open| open.revision < revision) {
            let resume = Resume::At(record.progress()?);
            *open = match self.blobs.open(id, resume).await {
                Ok(upload) => Some(Open { upload, record, revision }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    tracing::warn!(id, %error, "an upload cannot go on");
                    return Err(unknown());
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Session { id: id.to_owned(), open })
    }

    /// Begins a session anew with another hash; for those that have taken in nothing.
    pub(crate) async fn rehash(&self, session: &mut Session, algorithm: Algorithm) -> Result<(), Error> {
        let upload = self.blobs.open(&session.id, Resume::New(algorithm)).await?;
        if let Some(open) = session.open.as_mut() {
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
        let Err(broken) = intake::take_in(&**session.upload(), body, terms, &|_, _| {}).await else {
            return Ok(session.offset() - before);
        };
        match refused(broken) {
            Err(error) => {
                self.note(session).await?;
                Err(error)
            }
            Ok(error) => {
                // Only what the record says is certain: the next request opens the upload there.
                *session.open = None;
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
        let key = records::upload_key(&session.id).expect("a session has an id");
        let txn = Txn::new().update(key, open.revision, records::encode(&record));
        match self.store.commit(txn).await {
            Ok(revision) => {
                open.record = record;
                open.revision = revision;
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
    pub(crate) fn take_back(&self, session: &mut Session) {
        *session.open = None;
    }

    /// Ends a session and forgets its bytes.
    pub(crate) async fn cancel(&self, mut session: Session) -> Result<(), Error> {
        let key = records::upload_key(&session.id).expect("a session has an id");
        self.store.commit(Txn::new().delete(key)).await?;
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
