//! QR codes, as the path of an inline SVG: no image to fetch, no style, no script, so the page's policy stays as it is.

use std::fmt::Write;

/// A QR code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QrCode {
    /// The side of the picture, with the quiet zone, in modules.
    pub side: usize,
    /// The dark modules, as the `d` of a path.
    pub path: String,
}

/// The light border that readers want (ISO/IEC 18004 asks for four modules).
const QUIET: usize = 4;

/// The code of a text; `None` where it is longer than a code can hold.
pub fn code(text: &str) -> Option<QrCode> {
    let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::M).ok()?;
    let width = code.width();
    let colours = code.to_colors();
    let mut path = String::new();
    for (y, row) in colours.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|c| **c == qrcode::Color::Dark).count();
            if run > 0 {
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run.max(1);
        }
    }
    Some(QrCode { side: width + 2 * QUIET, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_path_of_runs_that_cover_the_dark_modules() {
        let text = format!("https://kubelend.example.com/s/kls_{}", "a".repeat(54));
        let drawn = code(&text).unwrap();
        let modules = qrcode::QrCode::with_error_correction_level(&text, qrcode::EcLevel::M).unwrap();
        let dark = modules.to_colors().iter().filter(|c| **c == qrcode::Color::Dark).count();
        let covered: usize = drawn
            .path
            .split('M')
            .skip(1)
            .map(|run| run.split('h').nth(1).unwrap().split('v').next().unwrap().parse::<usize>().unwrap())
            .sum();
        assert_eq!(covered, dark);
        assert_eq!(drawn.side, modules.width() + 8);
        // The first finder pattern begins at the quiet zone's inner corner.
        assert!(drawn.path.starts_with("M4 4h7v1h-7z"), "{}", drawn.path);
        assert!(drawn.path.len() < 12_000, "{}", drawn.path.len());
        assert!(code(&"x".repeat(5_000)).is_none());
    }
}
