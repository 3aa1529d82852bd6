//! Signatures as the carriers make them: written from their documentation, apart from the code that checks them.
//! The fake carrier signs with these.
//! Never shares a line with the server's own.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Brand;

/// The header that a carrier signs in.
pub(crate) const fn header(brand: Brand) -> &'static str {
    match brand {
        Brand::Twilio => "x-twilio-signature",
        Brand::SignalWire => "x-signalwire-signature",
    }
}

/// Of a form: the address, then names and values by name.
pub(crate) fn form(url: &str, fields: &[(String, String)], token: &str) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(&name);
        text.push_str(&value);
    }
    mac(&text, token)
}

/// Of an upgrade: the address of the socket alone.
pub(crate) fn upgrade(url: &str, token: &str) -> String {
    mac(url, token)
}

fn mac(text: &str, token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}
