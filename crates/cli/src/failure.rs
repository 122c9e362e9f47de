//! What can go wrong with a command, and how a person is told.
//!
//! A failure keeps the server's answer in parts, because what is printed depends on its reason and causes, and because
//! some commands look at it (a missing object, a conflict). Rendering happens once, at the end of the command.

use std::fmt::Write as _;
use std::io;

use machinery::meta::{Status, StatusCause};

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refused.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// Anything else, in words.
    #[error("{0}")]
    Plain(String),
    /// The command line makes no sense; the command's path follows for the hint.
    #[error("{message}")]
    Usage { message: String, command: String },
    /// Words that are printed as they are.
    #[error("{0}")]
    Verbatim(String),
    /// The server cannot be reached at all.
    #[error("{0}")]
    Unreachable(String),
    /// Several things went wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Several(Vec<Failure>),
    /// Everything was said already.
    #[error("exit status {0}")]
    Exit(u8),
    /// Whoever read our output went away.
    #[error("the reader of the output is gone")]
    Gone,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::Gone
        } else {
            Failure::Plain(error.to_string())
        }
    }
}

/// A failure in words.
pub(crate) fn plain(message: impl Into<String>) -> Failure {
    Failure::Plain(message.into())
}

/// A usage error of the command whose path (without the program's name) is given.
pub(crate) fn usage(command: &str, message: impl Into<String>) -> Failure {
    Failure::Usage { message: message.into(), command: command.to_owned() }
}

impl Failure {
    fn reason(&self) -> &str {
        if let Failure::Status(status) = self { &status.reason } else { "" }
    }

    /// HTTP status of the server's answer; 0 when there was none.
    pub(crate) fn code(&self) -> i32 {
        if let Failure::Status(status) = self { status.code } else { 0 }
    }

    /// The object (or path) is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.reason() == "NotFound" || (self.reason().is_empty() && self.code() == 404)
    }

    /// Somebody else changed the object meanwhile.
    pub(crate) fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// The caller may not do that.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.reason() == "Forbidden" || (self.reason().is_empty() && self.code() == 403)
    }

    /// The path does not know the verb.
    pub(crate) fn is_method_not_allowed(&self) -> bool {
        self.reason() == "MethodNotAllowed" || (self.reason().is_empty() && self.code() == 405)
    }

    /// The server did not accept the credentials.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.reason() == "Unauthorized"
    }

    /// The same failure with words in front of the message.
    #[must_use]
    pub(crate) fn prefixed(self, prefix: &str) -> Failure {
        match self {
            Failure::Status(mut status) => {
                status.message = format!("{prefix}{}", status.message);
                Failure::Status(status)
            }
            Failure::Plain(message) => Failure::Plain(format!("{prefix}{message}")),
            other => other,
        }
    }

    /// One failure out of many; none when there were none.
    pub(crate) fn gather(mut failures: Vec<Failure>) -> Result<(), Failure> {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Failure::Several(failures)),
        }
    }

    /// What standard error gets, without a newline at the end; nothing when everything was said.
    pub(crate) fn render(&self, program: &str) -> String {
        match self {
            Failure::Exit(_) | Failure::Gone => String::new(),
            Failure::Status(_) | Failure::Unreachable(_) | Failure::Verbatim(_) => self.sentence(),
            Failure::Plain(message) if message.starts_with("error: ") => message.clone(),
            Failure::Plain(message) => format!("error: {message}"),
            Failure::Usage { message, command } if command.is_empty() => {
                format!("error: {message}\nSee '{program} -h' for help and examples")
            }
            Failure::Usage { message, command } => {
                format!("error: {message}\nSee '{program} {command} -h' for help and examples")
            }
            Failure::Several(failures) => {
                failures.iter().map(Failure::sentence).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// The failure as one of several: without the `error: ` that a lone one gets.
    fn sentence(&self) -> String {
        match self {
            Failure::Status(status) if status.reason == "Invalid" || status.code == 422 => invalid(status),
            Failure::Status(status) => match status.reason.as_str() {
                "" => format!("Error from server: {}", status.message),
                "Unauthorized" => {
                    format!("error: You must be logged in to the server ({})", status.message)
                }
                reason => format!("Error from server ({reason}): {}", status.message),
            },
            Failure::Several(failures) => {
                failures.iter().map(Failure::sentence).collect::<Vec<_>>().join("\n")
            }
            other => other.to_string(),
        }
    }

    /// The status the process ends with.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Failure::Exit(status) => *status,
            // What a shell reports for a program that a closed pipe ended.
            Failure::Gone => 141,
            _ => 1,
        }
    }
}

/// `The ImageStream "x" is invalid: …`, with a list when there are several causes.
fn invalid(status: &Status) -> String {
    let Some(details) = &status.details else {
        return format!("The request is invalid: {}", status.message);
    };
    let mut text = if !details.kind.is_empty() || !details.name.is_empty() {
        format!("The {} {} is invalid", details.kind, machinery::field::quote(&details.name))
    } else if !status.message.is_empty() && details.causes.is_empty() {
        return format!("The request is invalid: {}", status.message);
    } else {
        "The request is invalid".to_owned()
    };
    let causes = distinct(&details.causes);
    match causes.as_slice() {
        [] => {}
        [only] => write!(text, ": {only}").expect("writing to a String cannot fail"),
        several => {
            text.push_str(": ");
            for cause in several {
                write!(text, "\n* {cause}").expect("writing to a String cannot fail");
            }
        }
    }
    text
}

fn distinct(causes: &[StatusCause]) -> Vec<String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut texts = Vec::new();
    for cause in causes {
        if !seen.contains(&cause.message.as_str()) {
            seen.push(&cause.message);
            texts.push(format!("{}: {}", cause.field, cause.message));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::field::FieldError;
    use machinery::status::{ApiError, GroupResource};

    fn status(error: ApiError) -> Failure {
        Failure::Status(error.0)
    }

    #[test]
    fn refusals_name_their_reason() {
        let of = GroupResource::new("image.openshift.io", "imagestreams");
        assert_eq!(
            status(ApiError::not_found(of, "a")).render("weir"),
            "Error from server (NotFound): imagestreams.image.openshift.io \"a\" not found"
        );
        assert_eq!(status(ApiError::plain("no")).render("weir"), "Error from server: no");
        assert_eq!(
            status(ApiError::unauthorized()).render("weir"),
            "error: You must be logged in to the server (Unauthorized)"
        );
    }

    #[test]
    fn causes_of_an_invalid_object_are_listed_once_each() {
        let of = GroupResource::new("", "ImageStream");
        let one = FieldError::required("spec.a", "");
        let two = FieldError::required("spec.b", "say it");
        assert_eq!(
            status(ApiError::invalid(of, "x", std::slice::from_ref(&one))).render("weir"),
            "The ImageStream \"x\" is invalid: spec.a: Required value"
        );
        assert_eq!(
            status(ApiError::invalid(of, "x", &[one.clone(), one, two])).render("weir"),
            "The ImageStream \"x\" is invalid: \n* spec.a: Required value\n* spec.b: Required value: say it"
        );
    }

    #[test]
    fn an_unprocessable_request_without_a_kind_shows_its_message() {
        let bare = ApiError::new(422, "Invalid", "bad patch");
        assert_eq!(status(bare.clone()).render("weir"), "The request is invalid: bad patch");
        assert_eq!(
            status(bare.with_details(Default::default())).render("weir"),
            "The request is invalid: bad patch"
        );
    }

    #[test]
    fn words_get_one_prefix() {
        assert_eq!(plain("no").render("weir"), "error: no");
        assert_eq!(plain("error: no").render("weir"), "error: no");
        assert_eq!(usage("tag", "no").render("weir"), "error: no\nSee 'weir tag -h' for help and examples");
        let both = Failure::Several(vec![status(ApiError::plain("a")), plain("b")]);
        assert_eq!(both.render("weir"), "Error from server: a\nb");
    }
}
