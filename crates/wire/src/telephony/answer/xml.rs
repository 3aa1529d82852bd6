//! Writing XML: elements, attributes and text, escaped so that a parser gives back what went in.
//! Used by the answer documents.
//! Never writes a character that XML 1.0 does not have; that is a typed error.

use super::Unwritable;

/// An XML document that is being written.
#[derive(Debug)]
pub(super) struct Xml {
    text: String,
    /// The start tag of the innermost element is not closed yet.
    tag_open: bool,
    elements: Vec<&'static str>,
}

impl Xml {
    pub(super) fn new(root: &'static str) -> Self {
        let mut xml = Self {
            text: String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#),
            tag_open: false,
            elements: Vec::new(),
        };
        xml.open(root);
        xml
    }

    pub(super) fn open(&mut self, name: &'static str) {
        self.close_tag();
        self.text.push('<');
        self.text.push_str(name);
        self.tag_open = true;
        self.elements.push(name);
    }

    /// An attribute of the element that was opened last, before anything inside it.
    pub(super) fn attribute(&mut self, name: &str, value: &str) -> Result<(), Unwritable> {
        debug_assert!(self.tag_open, "attributes come first");
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push_str("=\"");
        self.escape(value, Place::Attribute)?;
        self.text.push('"');
        Ok(())
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&str>) -> Result<(), Unwritable> {
        value.map_or(Ok(()), |value| self.attribute(name, value))
    }

    pub(super) fn content(&mut self, text: &str) -> Result<(), Unwritable> {
        self.close_tag();
        self.escape(text, Place::Content)
    }

    pub(super) fn close(&mut self) {
        let Some(name) = self.elements.pop() else {
            return;
        };
        if self.tag_open {
            self.text.push_str("/>");
            self.tag_open = false;
        } else {
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push('>');
        }
    }

    /// The document, with everything closed that is open.
    pub(super) fn finish(mut self) -> String {
        while !self.elements.is_empty() {
            self.close();
        }
        self.text
    }

    fn close_tag(&mut self) {
        if self.tag_open {
            self.text.push('>');
            self.tag_open = false;
        }
    }

    fn escape(&mut self, text: &str, place: Place) -> Result<(), Unwritable> {
        for character in text.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' if place == Place::Attribute => self.text.push_str("&quot;"),
                // a parser turns these into blanks or newlines unless they are written as numbers
                '\t' if place == Place::Attribute => self.text.push_str("&#9;"),
                '\n' if place == Place::Attribute => self.text.push_str("&#10;"),
                '\r' => self.text.push_str("&#13;"),
                '\t' | '\n' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'.. => {
                    self.text.push(character);
                }
                _ => return Err(Unwritable::Character(character)),
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Attribute,
    Content,
}
