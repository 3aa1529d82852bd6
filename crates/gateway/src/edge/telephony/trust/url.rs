//! The forms in which a carrier may have signed one address: with and without the default port, as `https` and as `wss`.
//! Used by the signatures that cover the address.
//! Never normalises anything else: the path and the query are signed as they were sent.

/// An address in its parts.
pub(super) struct Address<'a> {
    secure: bool,
    host: &'a str,
    port: Option<&'a str>,
    /// From the first `/`, without the query.
    pub(super) path: &'a str,
    /// Behind the `?`.
    pub(super) query: Option<&'a str>,
}

impl<'a> Address<'a> {
    /// `None` when it is no address of a web server or socket.
    pub(super) fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let secure = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return None,
        };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let split = place.find('/').unwrap_or(place.len());
        let (authority, path) = place.split_at(split);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, Some(port))
            }
            _ => (authority, None),
        };
        (!host.is_empty()).then_some(Self {
            secure,
            host,
            port,
            path,
            query,
        })
    }

    /// Scheme, host and port in every form; `upgrade` adds the schemes of sockets.
    pub(super) fn origins(&self, upgrade: bool) -> Vec<String> {
        let default = if self.secure { "443" } else { "80" };
        let schemes: &[&str] = match (self.secure, upgrade) {
            (true, true) => &["wss", "https"],
            (false, true) => &["ws", "http"],
            (true, false) => &["https"],
            (false, false) => &["http"],
        };
        let host = self.host;
        let mut origins = Vec::new();
        for scheme in schemes {
            match self.port {
                Some(port) if port != default => origins.push(format!("{scheme}://{host}:{port}")),
                _ => {
                    origins.push(format!("{scheme}://{host}"));
                    origins.push(format!("{scheme}://{host}:{default}"));
                }
            }
        }
        origins
    }

    /// The address in every form, with its query.
    pub(super) fn forms(&self, upgrade: bool) -> Vec<String> {
        let query = self
            .query
            .map_or_else(String::new, |query| format!("?{query}"));
        self.origins(upgrade)
            .into_iter()
            .map(|origin| format!("{origin}{}{query}", self.path))
            .collect()
    }

    /// The query's names and values, decoded.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        pairs(self.query.unwrap_or_default().as_bytes())
    }
}

/// A form's or a query's names and values, decoded, in their order.
pub(super) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}
