//! The file: who may open it, and the ways out of it and back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ifso::model::execution::Status;
use ifso::model::id::ExecutionId;
use ifso::store::batch::Batch;
use ifso::store::redb::{FORMAT, Redb, Settings, doctor, restore};
use ifso::store::table;
use ifso::store::{Error, Handle, Key, Order, Range, Store};

use super::keeping::execution;
use crate::parts::disk::SmallDisk;
use crate::world::figure;

fn key(number: u32) -> Key {
    Key { table: "meta", bytes: number.to_be_bytes().to_vec() }
}

async fn put(store: &dyn Store, number: u32, len: usize) -> Result<u64, Error> {
    let mut batch = Batch::new();
    batch.put(key(number), vec![7; len]);
    store.commit(batch).await
}

async fn count(store: &dyn Store) -> usize {
    let range = Range {
        table: "meta",
        prefix: Vec::new(),
        after: None,
        order: Order::Up,
        limit: usize::MAX,
    };
    store.scan(&range).await.unwrap().len()
}

fn open(path: &Path) -> Result<Redb, Error> {
    Redb::open(path, Settings::default())
}

#[tokio::test]
async fn a_second_opening_is_refused_with_the_pid_until_the_first_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let first = open(&path).unwrap();
    let refused = open(&path).err().unwrap();
    let owner = format!("is in use by another process (pid {})", std::process::id());
    assert!(refused.to_string().contains(&owner), "{refused}");
    assert!(matches!(doctor(&path, &|_, _, _| None), Err(Error::InUse { .. })));
    drop(first);
    open(&path).unwrap();
}

#[tokio::test]
async fn what_was_left_of_an_unfinished_making_is_thrown_away() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    std::fs::write(path.with_extension("tmp"), b"half a store").unwrap();
    let store = open(&path).unwrap();
    put(&store, 1, 10).await.unwrap();
    assert!(!path.with_extension("tmp").exists());
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let other = home.path().join("other.redb");
    let foreign = redb::Database::create(&other).unwrap();
    let writing = foreign.begin_write().unwrap();
    let strange: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("strange");
    writing.open_table(strange).unwrap().insert("a", 1).unwrap();
    writing.commit().unwrap();
    drop(foreign);
    let foreign = std::fs::read(&other).unwrap();
    for (bytes, says) in [
        (Vec::new(), "it is empty"),
        (vec![b'x'; 10_000], "magic number"),
        (vec![0; 100_000], ""),
        (foreign, "it is not a store of Ifso"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let refused = open(&path).err().unwrap();
        assert!(matches!(refused, Error::Broken { .. }), "{refused:?}");
        assert!(refused.to_string().contains(says), "{refused} says not {says:?}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{refused}: it was changed");
    }
    let nowhere = open(&home.path().join("no/such/folder.redb")).err().unwrap();
    assert!(matches!(nowhere, Error::Io { .. }), "{nowhere:?}");
}

/// A store as a newer Ifso would leave it.
fn from_the_future(path: &Path) {
    let about: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("ifso");
    let database = redb::Database::open(path).unwrap();
    let writing = database.begin_write().unwrap();
    {
        let number = (FORMAT + 1).to_be_bytes();
        let sum = crc_fast::crc32_iscsi(&[b"format".as_slice(), &number].concat());
        let row = [number, sum.to_be_bytes()].concat();
        writing.open_table(about).unwrap().insert("format", row.as_slice()).unwrap();
    }
    writing.commit().unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    drop(open(&path).unwrap());
    from_the_future(&path);
    let before = std::fs::read(&path).unwrap();
    for _ in 0..2 {
        let refused = open(&path).err().unwrap();
        assert!(
            matches!(refused, Error::TooNew { found, known: FORMAT, .. } if found == FORMAT + 1),
            "{refused:?}"
        );
        assert!(std::fs::read(&path).unwrap() == before, "it was changed");
    }
    assert!(matches!(doctor(&path, &|_, _, _| None), Err(Error::TooNew { .. })));
}

/// A store as the first Ifso left it: 40 records `n` of `n` bytes `n`.
#[tokio::test]
async fn a_store_of_format_1_is_read_for_ever() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let golden = include_bytes!("golden/format-1.redb.zst");
    std::fs::write(&path, zstd::decode_all(golden.as_slice()).unwrap()).unwrap();
    assert!(doctor(&path, &|_, _, _| None).unwrap().is_sound());
    let store = open(&path).unwrap();
    for number in 0..40u8 {
        let record = store.get(&key(number.into())).await.unwrap().unwrap();
        assert_eq!(record.bytes, vec![number; number.into()]);
        assert_eq!(record.revision, u64::from(number) + 1);
    }
    assert_eq!(put(&store, 1, 1).await.unwrap(), 41);
}

#[tokio::test]
async fn a_table_that_only_a_newer_ifso_knows_is_refused_and_a_missing_one_is_made() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    drop(open(&path).unwrap());
    let change = |work: &dyn Fn(&redb::WriteTransaction)| {
        let database = redb::Database::open(&path).unwrap();
        let writing = database.begin_write().unwrap();
        work(&writing);
        writing.commit().unwrap();
    };
    let table = |name| redb::TableDefinition::<&[u8], &[u8]>::new(name);
    change(&|writing| assert!(writing.delete_table(table("meta")).unwrap()));
    put(&open(&path).unwrap(), 1, 1).await.unwrap();
    change(&|writing| drop(writing.open_table(table("predictions")).unwrap()));
    let refused = open(&path).err().unwrap();
    assert!(refused.to_string().contains("a table `predictions` that this Ifso"), "{refused}");
}

#[tokio::test]
async fn a_backup_under_load_is_one_state_and_comes_back_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let store = Arc::new(open(&path).unwrap());
    // Each commit writes the same number in two tables: one state has the two alike.
    let twin = |number: u32| {
        let mut batch = Batch::new();
        for table in ["meta", "positions"] {
            let bytes = (number % 100).to_be_bytes().to_vec();
            batch.put(Key { table, bytes }, number.to_be_bytes().to_vec());
        }
        batch
    };
    for number in 0..200 {
        store.commit(twin(number)).await.unwrap();
    }
    let backup = home.path().join("backup.redb");
    let writing = async {
        for number in 200..400 {
            store.commit(twin(number)).await.unwrap();
        }
    };
    let (copied, ()) = tokio::join!(store.backup(&backup), writing);
    let copied = copied.unwrap();
    assert_eq!((copied.records, copied.damaged.len()), (200, 0));
    assert_eq!(copied.file_bytes, backup.metadata().unwrap().len());
    for file in [&backup, &path] {
        let rights =
            std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(rights & 0o777, 0o600, "{}", file.display());
    }
    let again = store.backup(&backup).await.unwrap_err();
    assert!(matches!(again, Error::Exists { .. }), "{again:?}");

    // Over a store that holds records nothing is restored.
    let refused = restore(&backup, &path).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
    drop(store);
    let refused = restore(&backup, &path).unwrap_err();
    assert!(matches!(refused, Error::Exists { .. }), "{refused:?}");

    let other = home.path().join("other.redb");
    drop(open(&other).unwrap());
    let before = std::fs::read(&backup).unwrap();
    assert_eq!(restore(&backup, &other).unwrap(), copied);
    assert!(std::fs::read(&backup).unwrap() == before, "the backup was changed");
    let back = open(&other).unwrap();
    assert_eq!(*back.changes().borrow(), copied.revision);
    for number in 0..100u32 {
        let twins =
            ["meta", "positions"].map(|table| Key { table, bytes: number.to_be_bytes().to_vec() });
        let found = back.get_many(&twins).await.unwrap();
        assert_eq!(found[0], found[1]);
        assert!(found[0].is_some());
    }
    assert!(put(&back, 1, 1).await.unwrap() > copied.revision);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("store.redb")).unwrap();
    put(&store, 1, 5000).await.unwrap();
    let backup = home.path().join("backup.redb");
    store.backup(&backup).await.unwrap();
    let mut bytes = std::fs::read(&backup).unwrap();
    let at = bytes.windows(100).position(|window| window == [7; 100]).unwrap();
    bytes[at + 50] ^= 1;
    std::fs::write(&backup, bytes).unwrap();
    let to = home.path().join("to.redb");
    let refused = restore(&backup, &to).unwrap_err();
    assert!(matches!(refused, Error::Broken { .. }), "{refused:?}");
    assert!(!to.exists());
}

#[tokio::test]
async fn the_doctor_finds_a_sound_store_sound_and_an_index_that_leads_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let store: Handle = Arc::new(open(&path).unwrap());
    let mut batch = Batch::new();
    for number in 1..=3 {
        let row = execution(ExecutionId::from_bits(number), Status::Running);
        table::create(&mut batch, &row);
    }
    store.commit(batch).await.unwrap();
    drop(store);
    let before = std::fs::read(&path).unwrap();
    let report = doctor(&path, &|_, _, _| None).unwrap();
    assert!(report.is_sound() && report.closed, "{report:#?}");
    let rows = report.tables.iter().find(|table| table.name == "executions").unwrap();
    assert_eq!((rows.records, rows.damaged), (3, 0));
    assert!(std::fs::read(&path).unwrap() == before, "the doctor changed it");

    let store: Handle = Arc::new(open(&path).unwrap());
    let mut batch = Batch::new();
    batch.remove(Key { table: "executions", bytes: 2u128.to_be_bytes().to_vec() });
    store.commit(batch).await.unwrap();
    drop(store);
    let report = doctor(&path, &|_, _, _| None).unwrap();
    assert_eq!(report.damaged, ["2 entries of table `executions_index` lead to no sound row"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_serves_reads_and_is_over_when_there_is_room() {
    let home = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::over(home.path(), "16m") else {
        figure("SKIPPED: T7 on a real full disk: mounting a tmpfs needs root");
        return;
    };
    let path = home.path().join("store.redb");
    let store = open(&path).unwrap();
    let ballast = home.path().join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let mut written = 0;
    let refused = loop {
        match put(&store, written, 100_000).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk is never full");
    };
    assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
    assert!(written > 5, "{written}");
    // Reads go on, writes are refused at once and in so many words.
    for number in 0..written {
        assert!(store.get(&key(number)).await.unwrap().is_some(), "record {number}");
        assert!(matches!(put(&store, 999_999, 100_000).await, Err(Error::Full { .. })));
    }
    std::fs::remove_file(ballast).unwrap();
    let (begun, mut refusals) = (Instant::now(), 0);
    while let Err(error) = put(&store, written, 100_000).await {
        assert!(matches!(error, Error::Full { .. } | Error::Io { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not come back: {error}");
        refusals += 1;
        tokio::task::yield_now().await;
    }
    let back = begun.elapsed();
    drop(store);
    let store = open(&path).unwrap();
    let found = count(&store).await;
    // The refused ones may be there, the accepted ones are.
    assert!((written as usize + 1..=written as usize + 2).contains(&found), "{found}");
    figure(&format!(
        "T7 full tmpfs: {written} acknowledged, 0 lost, back {back:.1?} after there was room ({refusals} refusals)"
    ));
}
