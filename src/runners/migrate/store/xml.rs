//! Reads the few elements of S3's answers that have no names or spaces to trip over: errors and tags.
//! Lenient on purpose: some servers leave out the namespace, some add elements of their own.

/// The text of the first element `name`.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    inside(xml, name).next().map(unescaped)
}

/// What is inside each element `name`, as it is written.
pub(super) fn inside<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest[start..].find(&close)?;
        let found = &rest[start..end];
        rest = &rest[end + close.len()..];
        Some(found)
    })
}

/// The text without its five entities. `&amp;` comes last: what it makes is no entity.
fn unescaped(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_wherever_they_stand() {
        let xml = "<Error><Code>NoSuchKey</Code><Message>no &lt;key&gt; &amp;lt;</Message></Error>";
        assert_eq!(text(xml, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(text(xml, "Message").as_deref(), Some("no <key> &lt;"));
        assert_eq!(text(xml, "Resource"), None);
        assert_eq!(text("<Code>cut", "Code"), None);
        let tags = "<Tag><Key>a</Key></Tag><Tag><Key>b</Key></Tag>";
        let keys: Vec<_> = inside(tags, "Tag").filter_map(|tag| text(tag, "Key")).collect();
        assert_eq!(keys, ["a", "b"]);
    }
}
