//! What is copied is just what was there.

use crate::parts::s3::tree as files;

use super::*;

/// Keys that trip over one thing or another.
const ODD: &[(&str, usize)] = &[
    ("plain", 10),
    ("empty", 0),
    ("a/b c", 100),
    ("ä/€ 日本.txt", 7),
    ("plus+percent%41 %2B&=#?", 9),
    ("quote\"'<>&amp;", 9),
    ("back\\slash;:@,$!*()[]{}|^`~", 3),
    ("a/.hidden", 2),
    ("small", 1 << 20),
    ("streamed", (1 << 20) + 1),
    ("just a part", 5 << 20),
    ("parts", (12 << 20) + 17),
];

#[tokio::test]
async fn odd_objects_go_through_servers_and_folders_unchanged() {
    let ends = Ends::with_moto().await;
    let given = tree(ODD);
    write(&ends.shelf().join("first"), &given);
    let ways = [
        ("shelf:first", "old:box/a"),
        ("old:box/a", "moto:box"),
        ("moto:box", "new:box/b/c"),
        ("new:box/b/c", "shelf:last"),
    ];
    for (from, to) in ways {
        let attempt = ends.copy(from, to).given("part_size", "5MiB");
        let result = attempt.run().await.succeeded();
        assert_eq!(count(&result, "objects"), given.len() as u64, "{from} {to}: {result}");
        let bytes: usize = given.values().map(Vec::len).sum();
        assert_eq!(count(&result, "bytes"), bytes as u64);
    }
    assert_eq!(difference(&files(&ends.shelf().join("last")), &given), [""; 0]);
    let keys = ends.moto.as_ref().unwrap().keys("box").await;
    assert!(keys.iter().eq(given.keys()), "{keys:#?}");
}

#[tokio::test]
async fn keys_of_the_greatest_length_and_keys_with_a_slash_at_the_end_are_copied() {
    let ends = Ends::with_moto().await;
    let moto = ends.moto.as_ref().unwrap();
    let given = tree(&[(&"k".repeat(1024), 3), ("folder/", 0), ("folder//two", 1), ("/lead", 1)]);
    moto.fill("box", &given).await;
    let result = ends.copy("moto:box", "moto:other").run().await.succeeded();
    assert_eq!(count(&result, "objects"), 4);
    assert_eq!(difference(&moto.tree("other").await, &given), [""; 0]);
}

#[tokio::test]
async fn what_an_object_says_of_itself_goes_with_it_through_a_folder_too() {
    let ends = Ends::with_moto().await;
    let moto = ends.moto.as_ref().unwrap();
    let said = [
        ("content-type", "text/x-poem; charset=utf-8"),
        ("cache-control", "max-age=60"),
        ("content-encoding", "br"),
        ("content-disposition", "attachment; filename=\"a b.txt\""),
        ("content-language", "de"),
        ("x-amz-meta-author", "Grete  Meier"),
        ("x-amz-tagging", "team=storage%20one&empty="),
    ];
    for (key, bytes) in [("small", 3), ("parts", 11 << 20)] {
        moto.put("box", key, &said, content(key, bytes)).await;
    }
    for (from, to) in [("moto:box", "shelf:on the way"), ("shelf:on the way", "moto:other")] {
        ends.copy(from, to).given("part_size", "5MiB").run().await.succeeded();
    }
    for (key, bytes) in [("small", 3), ("parts", 11 << 20)] {
        let (headers, body) = moto.get("other", key).await.unwrap();
        assert_eq!(body, content(key, bytes), "{key}");
        for (name, value) in &said[..6] {
            assert_eq!(
                headers.get(*name).and_then(|v| v.to_str().ok()),
                Some(*value),
                "{key} {name}"
            );
        }
        assert_eq!(headers["x-amz-tagging-count"], "2", "{key}");
    }
}

#[tokio::test]
async fn small_objects_take_two_requests_each() {
    let ends = Ends::new();
    ends.old.fill("box", &many(50));
    let attempt = ends.copy("old:box", "new:box").given("second_pass", false);
    attempt.run().await.succeeded();
    let (read, written) = (ends.old.calls(), ends.new.calls());
    let of = |calls: &[String], start| calls.iter().filter(|call| call.starts_with(start)).count();
    assert_eq!(of(&read, "GET /box/0"), 50, "{read:#?}");
    assert_eq!((of(&written, "PUT /box/0"), of(&written, "GET /box/0")), (50, 0));
    // A listing, and a look whether the buckets are there.
    assert_eq!((read.len(), written.len()), (52, 51));
}

#[tokio::test]
async fn a_full_verification_reads_everything_back() {
    let ends = Ends::new();
    ends.old.fill("box", &tree(&[("a", 1), ("parts", 6 << 20)]));
    let attempt = ends.copy("old:box", "new:box").given("verify", "full");
    attempt.given("part_size", "5MiB").run().await.succeeded();
    let calls = ends.new.calls();
    let read = |call: &&String| call.starts_with("GET /box/") && !call.starts_with("GET /box/?");
    let read = calls.iter().filter(read).count();
    assert_eq!(read, 3, "one for `a`, two for the parts: {calls:#?}");
}

#[tokio::test]
async fn patterns_choose_and_a_dry_run_touches_nothing() {
    let ends = Ends::new();
    ends.old.fill("box", &tree(&[("a.jpg", 5), ("b/c.jpg", 6), ("b/d.tmp", 7)]));
    let attempt = ends.copy("old:box", "shelf:x").given("include", json!(["*.jpg", "*.tmp"]));
    let attempt = attempt.given("exclude", json!(["b/*.tmp"]));
    let said = attempt.clone().given("dry_run", true).run().await.succeeded();
    assert_eq!((count(&said, "objects"), count(&said, "bytes")), (2, 11));
    assert_eq!(said["keys"], json!(["a.jpg", "b/c.jpg"]));
    assert!(!ends.desk.data().join("migrations").exists());
    let done = attempt.run().await.succeeded();
    assert_eq!((count(&done, "objects"), count(&done, "excluded")), (2, 1));
    assert_eq!(
        files(&ends.shelf()),
        tree_of(&[("x/a.jpg", "a.jpg", 5), ("x/b/c.jpg", "b/c.jpg", 6)])
    );
}

fn tree_of(objects: &[(&str, &str, usize)]) -> Tree {
    let object =
        |(key, seed, bytes): &(&str, &str, usize)| ((*key).to_owned(), content(seed, *bytes));
    objects.iter().map(object).collect()
}
