//! `Link`: where the next page of a list is.

use http::HeaderMap;
use http::header::LINK;

use crate::limits;

/// The target of the first link with `rel="next"`, as written: usually a path.
///
/// A link without any `rel` counts as well, because some registries leave it out.
pub fn next_page(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).into_iter().filter(|value| value.len() <= limits::HEADER_BYTES);
    values.filter_map(|value| value.to_str().ok()).find_map(next_in)
}

fn next_in(mut header: &str) -> Option<String> {
    loop {
        let (target, rest) = header.split_once('<')?.1.split_once('>')?;
        let end = rest.find('<').unwrap_or(rest.len());
        let mut relations = rest[..end].split([';', ',']).filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"'))
        });
        let wanted = match relations.next() {
            None => true,
            Some(relation) => relation.split(' ').any(|one| one.eq_ignore_ascii_case("next")),
        };
        if wanted && !target.is_empty() {
            return Some(target.to_owned());
        }
        header = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<&str>) {
        let headers = HeaderMap::from_iter([(LINK, header.parse().unwrap())]);
        assert_eq!(next_page(&headers).as_deref(), expected, "{header}");
    }

    #[test]
    fn the_next_page_is_found() {
        check("</v2/x/tags/list?last=b&n=2>; rel=\"next\"", Some("/v2/x/tags/list?last=b&n=2"));
        check("</a>; rel=prev, </b>; rel=next", Some("/b"));
        check("</a>", Some("/a"));
        check("</a>; rel=\"first next\"", Some("/a"));
        check("</a>; rel=\"last\"", None);
        check("nonsense", None);
        check("<", None);
        check("<>; rel=next", None);
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "[ -~]{0,60}") {
            check_any(&header);
        }
    }

    fn check_any(header: &str) {
        let headers = HeaderMap::from_iter([(LINK, header.parse().unwrap())]);
        let _ = next_page(&headers);
    }
}
