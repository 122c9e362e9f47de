//! What is kept beside an image in its stream: signatures, attestations and bills of materials, as cosign and others keep
//! them under tags that are made of the image's digest.

use machinery::image::ImageStream;
use machinery::time::Time;

use super::Sheet;
use crate::human;
use crate::tabs::{Layout, align};

/// What follows the digest in such a tag, and what is under it.
const KINDS: [(&str, &str); 4] =
    [(".sig", "Signature"), (".att", "Attestation"), (".sbom", "Bill of materials"), ("", "Referrers")];

/// The text about what lies beside the image of a digest; `None` when there is nothing.
pub(crate) fn attached(stream: &ImageStream, digest: &str, now: Time) -> Option<String> {
    let stem = digest.replacen(':', "-", 1);
    let rows: Vec<String> = KINDS
        .iter()
        .filter_map(|(suffix, kind)| {
            let tag = format!("{stem}{suffix}");
            let head = stream.status.head(&tag)?;
            Some(format!("{kind}\t{tag}\t{}\t{}", head.image, human::ago(now, head.created)))
        })
        .collect();
    let mut sheet = Sheet::default();
    sheet.rows("Attached", rows.iter().map(String::as_str));
    (!rows.is_empty()).then(|| align(&sheet.0, Layout::DESCRIBE))
}
