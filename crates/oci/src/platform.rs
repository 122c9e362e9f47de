//! Which child of a list is meant by somebody who wants a single image.

use crate::manifest::Descriptor;

/// Picks a child: the wanted architecture and operating system, else `linux/amd64`, else the first one.
///
/// Variants do not count, as in the reference. `None` only for an empty list.
pub fn choose<'a>(children: &'a [Descriptor], architecture: &str, os: &str) -> Option<&'a Descriptor> {
    let of = |architecture: &str, os: &str| {
        children.iter().find(|child| {
            child
                .platform
                .as_ref()
                .is_some_and(|platform| platform.architecture == architecture && platform.os == os)
        })
    };
    of(architecture, os).or_else(|| of("amd64", "linux")).or_else(|| children.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::manifest::Platform;

    fn children(platforms: &[(&str, &str)]) -> Vec<Descriptor> {
        platforms
            .iter()
            .map(|(os, architecture)| Descriptor {
                media_type: crate::media::OCI_MANIFEST.into(),
                digest: Digest::sha256(format!("{os}/{architecture}").as_bytes()),
                size: 1,
                urls: Vec::new(),
                platform: Some(Platform {
                    architecture: (*architecture).to_owned(),
                    os: (*os).to_owned(),
                    variant: String::new(),
                    os_version: String::new(),
                }),
            })
            .collect()
    }

    fn check(platforms: &[(&str, &str)], wanted: (&str, &str), expected: Option<usize>) {
        let children = children(platforms);
        let chosen = choose(&children, wanted.1, wanted.0);
        assert_eq!(chosen, expected.map(|index| &children[index]));
    }

    #[test]
    fn the_wanted_platform_wins_then_linux_amd64_then_the_first() {
        let many = [("windows", "amd64"), ("linux", "arm64"), ("linux", "amd64"), ("linux", "arm64")];
        check(&many, ("linux", "arm64"), Some(1));
        check(&many, ("linux", "s390x"), Some(2));
        check(&many[..2], ("linux", "s390x"), Some(0));
        check(&[], ("linux", "amd64"), None);
    }

    #[test]
    fn a_child_without_platform_is_only_a_last_resort() {
        let mut list = children(&[("linux", "amd64"), ("linux", "amd64")]);
        list[0].platform = None;
        assert_eq!(choose(&list, "arm64", "linux"), Some(&list[1]));
        assert_eq!(choose(&list[..1], "arm64", "linux"), Some(&list[0]));
    }
}
