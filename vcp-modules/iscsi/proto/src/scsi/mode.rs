//! MODE SENSE data: write protection and the caching page (SPC-4 §7.5.4 to §7.5.6,
//! SBC-3).

use alloc::vec::Vec;

use super::ModeForm;
use crate::error::Error;
use crate::field::u16_at;

/// A block device's properties from MODE SENSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModeParameters {
    /// WP: the medium can't be written.
    pub write_protected: bool,
    /// DPOFUA: the FUA and DPO bits are supported.
    pub fua: bool,
    /// The caching page, if it is among the pages.
    pub caching: Option<CachingPage>,
}

/// Caching mode page, 08h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CachingPage {
    /// WCE: writes may stay in a volatile cache until SYNCHRONIZE CACHE.
    pub write_cache: bool,
    /// RCD: reads never come from the cache.
    pub no_read_cache: bool,
}

const CUT: Error = Error::Truncated("MODE SENSE data");
const PAGE: u8 = 0x08;

impl ModeParameters {
    /// Reads the answer to the form of MODE SENSE that was sent. Block descriptors and
    /// other pages are skipped, a page that is cut is left out.
    ///
    /// # Errors
    /// [`Error::Truncated`] when not even the header is whole.
    pub fn parse(form: ModeForm, data: &[u8]) -> Result<Self, Error> {
        let (device, mut pages) = match form {
            ModeForm::Six => {
                let (header, rest) = data.split_at_checked(4).ok_or(CUT)?;
                let rest = &rest[..rest.len().min(usize::from(header[0]).saturating_sub(3))];
                (
                    header[2],
                    rest.get(usize::from(header[3])..).unwrap_or_default(),
                )
            }
            ModeForm::Ten => {
                let (header, rest) = data.split_at_checked(8).ok_or(CUT)?;
                let len = usize::from(u16_at(header, 0)).saturating_sub(6);
                let rest = &rest[..rest.len().min(len)];
                (
                    header[3],
                    rest.get(usize::from(u16_at(header, 6))..)
                        .unwrap_or_default(),
                )
            }
        };
        let mut caching = None;
        while let Some((code, page, behind)) = next_page(pages) {
            if code == PAGE && !page.is_empty() {
                caching = Some(CachingPage {
                    write_cache: page[0] & 0x04 != 0,
                    no_read_cache: page[0] & 0x01 != 0,
                });
            }
            pages = behind;
        }
        Ok(Self {
            write_protected: device & 0x80 != 0,
            fua: device & 0x10 != 0,
            caching,
        })
    }

    /// Writes the answer to one form of MODE SENSE, without block descriptors, with
    /// `other_pages` behind the caching page.
    ///
    /// # Panics
    /// When the pages don't fit into the form's length field.
    #[must_use]
    pub fn emit(&self, form: ModeForm, other_pages: &[u8]) -> Vec<u8> {
        let device = u8::from(self.write_protected) << 7 | u8::from(self.fua) << 4;
        let caching = self.caching.map(|page| page.emit());
        let pages = [caching.as_ref().map_or(&[][..], |page| page), other_pages].concat();
        let mut out = match form {
            ModeForm::Six => {
                let len = u8::try_from(pages.len() + 3).expect("mode data length has 8 bits");
                Vec::from([len, 0, device, 0])
            }
            ModeForm::Ten => {
                let len = u16::try_from(pages.len() + 6).expect("mode data length has 16 bits");
                let [high, low] = len.to_be_bytes();
                Vec::from([high, low, 0, device, 0, 0, 0, 0])
            }
        };
        out.extend_from_slice(&pages);
        out
    }
}

impl CachingPage {
    /// Length of the page with its header in bytes.
    pub const LEN: usize = 20;

    /// Writes the page with its header.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0] = PAGE;
        b[1] = (Self::LEN - 2) as u8;
        b[2] = u8::from(self.write_cache) << 2 | u8::from(self.no_read_cache);
        b
    }
}

/// Code, contents and what follows of the first mode page. A subpage gets the code
/// FFh, which no page has. `None` at the end, or when the page is cut.
fn next_page(pages: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let &first = pages.first()?;
    let is_subpage = first & 0x40 != 0;
    let (header, len) = if is_subpage {
        (4, usize::from(u16_at(pages.get(..4)?, 2)))
    } else {
        (2, usize::from(*pages.get(1)?))
    };
    let (page, behind) = pages[header..].split_at_checked(len)?;
    Some((if is_subpage { 0xff } else { first & 0x3f }, page, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_before_and_block_descriptors_are_skipped() {
        let mut data = Vec::from([0, 0, 0x80, 8]);
        data.extend_from_slice(&[0xee; 8]); // block descriptor
        data.extend_from_slice(&[0x0a, 2, 4, 4]); // another page
        data.extend_from_slice(&[0x48, 1, 0, 1, 0xff]); // a subpage of 08h
        data.extend_from_slice(
            &CachingPage {
                write_cache: true,
                no_read_cache: false,
            }
            .emit(),
        );
        data[0] = (data.len() - 1) as u8;
        let parameters = ModeParameters::parse(ModeForm::Six, &data).unwrap();
        assert!(parameters.write_protected && !parameters.fua);
        let caching = parameters.caching.unwrap();
        assert!(caching.write_cache && !caching.no_read_cache);
        // A page cut short is no page.
        let cut = ModeParameters::parse(ModeForm::Six, &data[..data.len() - 1]).unwrap();
        assert_eq!(cut.caching, None);
    }

    #[test]
    fn bytes_behind_the_stated_length_are_no_pages() {
        let mut data = ModeParameters {
            caching: Some(CachingPage::default()),
            ..Default::default()
        }
        .emit(ModeForm::Six, &[]);
        assert_eq!(data[0], 23);
        data[0] = 3;
        assert_eq!(
            ModeParameters::parse(ModeForm::Six, &data).unwrap().caching,
            None
        );
    }

    proptest! {
        #[test]
        fn round_trip(
            (write_protected, fua) in any::<(bool, bool)>(),
            caching in proptest::option::of(any::<(bool, bool)>()),
        ) {
            let caching = caching
                .map(|(write_cache, no_read_cache)| CachingPage { write_cache, no_read_cache });
            let parameters = ModeParameters { write_protected, fua, caching };
            for form in [ModeForm::Six, ModeForm::Ten] {
                let data = parameters.emit(form, &[0x0a, 1, 0]);
                prop_assert_eq!(ModeParameters::parse(form, &data), Ok(parameters));
            }
        }

        #[test]
        fn arbitrary_data(data: Vec<u8>) {
            for form in [ModeForm::Six, ModeForm::Ten] {
                let _ = ModeParameters::parse(form, &data);
            }
        }
    }
}
