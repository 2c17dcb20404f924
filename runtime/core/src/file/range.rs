//! Ranges of a file: making holes and zeroes, and finding them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;
use vcp_queue::{EXTENT, Extent, MOST_EXTENTS};

/// Zeroes to write where a file system has no other way.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// Gives the space of a range back.
pub(super) fn punch(file: &File, offset: u64, length: u32) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    allocate(file, flags, offset, length)
}

/// Makes a range of the file read as zeroes.
pub(super) fn zero(file: &File, offset: u64, length: u32) -> io::Result<()> {
    let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    match allocate(file, flags, offset, length) {
        Err(error) if is(&error, &[Errno::OPNOTSUPP, Errno::NOSYS]) => write(file, offset, length),
        done => done,
    }
}

fn allocate(file: &File, flags: FallocateFlags, offset: u64, length: u32) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    loop {
        match fallocate(file, flags, offset, u64::from(length)) {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

fn write(file: &File, mut offset: u64, length: u32) -> io::Result<()> {
    let mut left = length as usize;
    while left > 0 {
        let zeroes = &ZEROES[..left.min(ZEROES.len())];
        file.write_all_at(zeroes, offset)?;
        offset += zeroes.len() as u64;
        left -= zeroes.len();
    }
    Ok(())
}

fn is(error: &io::Error, errnos: &[Errno]) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| errnos.contains(&errno))
}

/// Writes the extents of a range into `room`, as far as the file goes, and returns how many
/// bytes of it they take. It is an error if the file ends before the range begins: what is
/// not there is no hole, as it does not read as zeroes. Only this function uses the file's
/// position.
pub(super) fn extents(file: &File, offset: u64, length: u32, room: &mut [u8]) -> io::Result<u32> {
    let most = (room.len() / EXTENT).min(MOST_EXTENTS);
    if length == 0 || most == 0 {
        return Err(Errno::INVAL.into());
    }
    let size = file.metadata()?.len();
    if offset >= size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let end = (offset + u64::from(length)).min(size);
    let (mut at, mut count) = (offset, 0);
    while at < end && count < most {
        let (next, hole) = run(file, at, end)?;
        let extent = Extent {
            // It lies within the range.
            length: u32::try_from(next - at).unwrap_or(length),
            hole,
            zero: hole,
        };
        let place = count * EXTENT;
        room[place..place + EXTENT].copy_from_slice(&extent.encode());
        (at, count) = (next, count + 1);
    }
    Ok((count * EXTENT) as u32)
}

/// The end of the run of data or hole that `at` is in, `end` at most, and whether it is a
/// hole. It lies beyond `at` whatever the file system says, also if others change the file
/// meanwhile.
fn run(file: &File, at: u64, end: u64) -> io::Result<(u64, bool)> {
    let data = match seek(file, SeekFrom::Data(at)) {
        Ok(data) => data,
        // There is no data from there on.
        Err(Errno::NXIO) => return Ok((end, true)),
        // The file system can't tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((end, false)),
        Err(error) => return Err(error.into()),
    };
    if data > at {
        return Ok((data.min(end), true));
    }
    match seek(file, SeekFrom::Hole(at)) {
        Ok(hole) if hole > at => Ok((hole.min(end), false)),
        // It has become a hole since, or the file was cut off.
        Ok(_) | Err(Errno::NXIO) => Ok((end.min(at + 1), false)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(file: &File, offset: u64, length: u32) -> Vec<(u32, bool)> {
        let mut room = [0; 4096];
        let used = extents(file, offset, length, &mut room).unwrap() as usize;
        Extent::parse(&room[..used])
            .map(|extent| (extent.length, extent.hole))
            .collect()
    }

    fn file() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file
    }

    #[test]
    fn holes_come_and_go() {
        let file = file();
        assert_eq!(told(&file, 0, 1 << 20), [(1 << 20, true)]);
        file.write_all_at(&[7; 65536 * 3], 65536).unwrap();
        let data = [
            (65536, true),
            (65536 * 3, false),
            ((1 << 20) - 65536 * 4, true),
        ];
        assert_eq!(told(&file, 0, 1 << 20), data);
        punch(&file, 65536 * 2, 65536).unwrap();
        let parts = [(65535, true), (65536, false), (65536, true), (1, false)];
        assert_eq!(told(&file, 1, 65535 + 65536 * 2 + 1), parts);
        // Less than a block of the file system is zeroed, too.
        punch(&file, 65536 + 5, 10).unwrap();
        let mut bytes = [0; 20];
        file.read_exact_at(&mut bytes, 65536).unwrap();
        assert_eq!(bytes[..5], [7; 5]);
        assert_eq!(bytes[5..15], [0; 10]);
        assert_eq!(bytes[15..], [7; 5]);
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
    }

    #[test]
    fn beyond_the_end_there_is_nothing_to_tell() {
        let file = file();
        file.write_all_at(&[7; 4096], (1 << 20) - 4096).unwrap();
        let data = [(4096, false)];
        assert_eq!(told(&file, (1 << 20) - 4096, 8192), data);
        let mut room = [0; 4096];
        for offset in [1 << 20, (1 << 20) + 1] {
            let error = extents(&file, offset, 1, &mut room).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        // A hole at the end ends there, too.
        file.set_len(2 << 20).unwrap();
        assert_eq!(told(&file, (2 << 20) - 10, 20), [(10, true)]);
    }

    #[test]
    fn an_answer_ends_with_its_room() {
        let file = file();
        for n in 0..8 {
            file.write_all_at(&[7; 4096], n * 131_072).unwrap();
        }
        let mut room = [0; 3 * EXTENT + 7];
        let used = extents(&file, 0, 1 << 20, &mut room).unwrap();
        assert_eq!(used as usize, 3 * EXTENT);
        assert!(extents(&file, 0, 1 << 20, &mut [0; 7]).is_err());
        assert!(extents(&file, 0, 0, &mut room).is_err());
    }

    #[test]
    fn zeroes_are_there_whichever_way() {
        let file = file();
        for way in [zero, write, punch] {
            file.write_all_at(&[7; 300_000], 100).unwrap();
            way(&file, 1000, 200_000).unwrap();
            let mut bytes = vec![0; 300_000];
            file.read_exact_at(&mut bytes, 100).unwrap();
            let zeroes = 900..200_900;
            assert!(bytes[zeroes.clone()].iter().all(|byte| *byte == 0));
            assert!(bytes[..zeroes.start].iter().all(|byte| *byte == 7));
            assert!(bytes[zeroes.end..].iter().all(|byte| *byte == 7));
            way(&file, 0, 0).unwrap();
        }
    }
}
