//! Lists as files that spreadsheets read: CSV as RFC 4180 has it, written while it is read from the database, so that the length
//! of a list costs no memory.
//!
//! What others typed is in it, and spreadsheets run a cell that begins like a formula. Such a cell gets an apostrophe before it,
//! which they take for “this is text”.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::Stream;

use crate::store::StoreError;

/// What a formula begins with, or what some programs skip before they look.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// A line with these fields.
pub fn line(fields: &[&str]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    fields.join(",") + "\r\n"
}

fn quoted(field: &str) -> String {
    // White space, also such as nobody sees, hides what the cell begins with from us and not from every spreadsheet.
    let begins = field.trim_start().starts_with(FORMULA) || field.starts_with(FORMULA);
    let field = if begins { format!("'{field}") } else { field.to_owned() };
    if field.contains(['"', ',', '\r', '\n']) || field != field.trim() {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// A file of these lines. What breaks off while it is sent arrives as a download that failed, never as one that is whole.
pub fn answer(name: &str, lines: impl Stream<Item = Result<String, StoreError>> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_17_a_spreadsheet_runs_nothing_of_a_file() {
        for (field, safe) in [
            ("=HYPERLINK(\"http://evil\")", "\"'=HYPERLINK(\"\"http://evil\"\")\""),
            ("+1", "'+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("  =1", "'  =1"),
            ("\u{a0}=1", "'\u{a0}=1"),
            ("\t=1", "'\t=1"),
            ("\r\n=1", "\"'\r\n=1\""),
        ] {
            assert_eq!(quoted(field), safe);
        }
        assert_eq!(line(&["=cmd", "bob@example.com"]), "'=cmd,bob@example.com\r\n");
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(line(&["a", "b,c", "d\"e", "f\ng", ""]), "a,\"b,c\",\"d\"\"e\",\"f\ng\",\r\n");
        assert_eq!(line(&[" padded "]), "\" padded \"\r\n");
    }
}
