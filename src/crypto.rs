//! Secrets: what is kept readable is sealed here, what is only compared is hashed here, and what must not be guessed is drawn
//! here. No other module touches a cipher, a hash or the random source.
//!
//! Sealing is XChaCha20-Poly1305 under a key of the ring, with the row's identity as associated data: a sealed value moved
//! to another row does not open. The ring holds several keys by id, so that a new one can take over while old values open.

use std::{fmt, fs, io, io::Write, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What goes wrong with secrets.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The value was sealed for something else, was changed, or its key is not in the ring.
    #[error("a sealed value does not open: wrong key ring, or the value was changed")]
    DoesNotOpen,
    /// The key ring's file cannot be used.
    #[error("key ring {path}: {reason}")]
    Ring {
        /// The file.
        path: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// The keys that seal what the database keeps. The first seals; all open.
pub struct Keyring {
    keys: Vec<(u32, [u8; 32])>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.iter().map(|(id, _)| id).collect::<Vec<_>>()).finish()
    }
}

impl Keyring {
    /// A ring of one fresh key.
    pub fn generate() -> Self {
        Self { keys: vec![(u32::from_be_bytes(random()), random())] }
    }

    /// Reads a ring: a line `ID BASE64URL` for each key, the sealing one first; `#` begins a comment.
    ///
    /// # Errors
    /// A line that is none; no key at all. The reason never quotes the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || format!("line {} is not “ID KEY” with a key of 32 bytes in base64url", n + 1);
            let (id, key) = line.split_once(' ').ok_or_else(bad)?;
            let id = u32::from_str_radix(id, 16).map_err(|_| bad())?;
            let key =
                URL_SAFE_NO_PAD.decode(key.trim()).ok().and_then(|k| <[u8; 32]>::try_from(k).ok()).ok_or_else(bad)?;
            keys.push((id, key));
        }
        if keys.is_empty() { Err("it holds no key".into()) } else { Ok(Self { keys }) }
    }

    /// Reads the ring's file; `None` where it is missing.
    ///
    /// # Errors
    /// When it can be read by others, cannot be read by us, or holds no key.
    pub fn read(path: &Path) -> Result<Option<Self>, CryptoError> {
        match fs::read_to_string(path) {
            Ok(text) => {
                refuse_open_file(path).map_err(|reason| unusable(path, reason))?;
                Self::parse(&text).map(Some).map_err(|reason| unusable(path, reason))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(unusable(path, format!("cannot be read: {e}"))),
        }
    }

    /// The same, but makes it, readable by its owner alone, where it is missing.
    ///
    /// # Errors
    /// As for [`read`](Self::read), or when it cannot be made.
    pub fn open_or_create(path: &Path) -> Result<Self, CryptoError> {
        if let Some(ring) = Self::read(path)? {
            return Ok(ring);
        }
        let ring = Self::generate();
        match create_private(path, &ring.to_text()) {
            Ok(()) => Ok(ring),
            // Another process was first: its ring is the one.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Self::read(path)?.ok_or_else(|| unusable(path, "it was taken away just now".into()))
            }
            Err(e) => Err(unusable(path, format!("cannot be made: {e}"))),
        }
    }

    /// What its keys are told apart by, without telling anything of them: 16 hexadecimal digits each, the sealing one first.
    pub fn fingerprints(&self) -> Vec<String> {
        let of = |key: &[u8; 32]| Sha256::new().chain_update(b"kubelend key fingerprint").chain_update(key).finalize();
        self.keys.iter().map(|(_, key)| hex(&of(key)[..8])).collect()
    }

    fn to_text(&self) -> String {
        let mut text =
            String::from("# Kubelend's key ring. Keep it, keep it secret, and back it up apart from the database.\n");
        for (id, key) in &self.keys {
            text.extend([format!("{id:08x} {}\n", URL_SAFE_NO_PAD.encode(key))]);
        }
        text
    }

    /// Seals `plain` for the row that `context` names, for example `cluster:ID:credential`.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let (id, key) = &self.keys[0];
        let nonce: [u8; 24] = random();
        let sealed = XChaCha20Poly1305::new(Key::from_slice(key))
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: context.as_bytes() })
            .unwrap_or_else(|_| unreachable!("sealing fails only past 256 GiB"));
        [id.to_be_bytes().as_slice(), &nonce, &sealed].concat()
    }

    /// Opens what [`seal`](Self::seal) made for the same context.
    ///
    /// # Errors
    /// [`CryptoError::DoesNotOpen`].
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (id, rest) = sealed.split_first_chunk::<4>().ok_or(CryptoError::DoesNotOpen)?;
        let (nonce, body) = rest.split_first_chunk::<24>().ok_or(CryptoError::DoesNotOpen)?;
        let id = u32::from_be_bytes(*id);
        let (_, key) = self.keys.iter().find(|(k, _)| *k == id).ok_or(CryptoError::DoesNotOpen)?;
        XChaCha20Poly1305::new(Key::from_slice(key))
            .decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: context.as_bytes() })
            .map_err(|_| CryptoError::DoesNotOpen)
    }

    /// Seals into text that fits a cookie.
    pub fn seal_text(&self, context: &str, plain: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(context, plain.as_bytes()))
    }

    /// Opens what [`seal_text`](Self::seal_text) made.
    ///
    /// # Errors
    /// [`CryptoError::DoesNotOpen`].
    pub fn open_text(&self, context: &str, sealed: &str) -> Result<SecretString, CryptoError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| CryptoError::DoesNotOpen)?;
        String::from_utf8(self.open(context, &bytes)?).map(SecretString::from).map_err(|_| CryptoError::DoesNotOpen)
    }

    /// A key for another purpose, drawn from the sealing key (HKDF, RFC 5869): 64 bytes, as the session cookie wants.
    pub fn derive(&self, purpose: &str) -> [u8; 64] {
        let mut out = [0; 64];
        let hkdf = Hkdf::<Sha256>::new(None, &self.keys[0].1);
        hkdf.expand(purpose.as_bytes(), &mut out).unwrap_or_else(|_| unreachable!("64 bytes are within HKDF's bound"));
        out
    }
}

fn unusable(path: &Path, reason: String) -> CryptoError {
    CryptoError::Ring { path: path.display().to_string(), reason }
}

fn refuse_open_file(path: &Path) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_err(|e| e.to_string())?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!("others can read it (mode {:03o}); run: chmod 600 {}", mode & 0o777, path.display()));
        }
    }
    Ok(())
}

fn create_private(path: &Path, text: &str) -> io::Result<()> {
    // Written whole under another name first: a crash in between must not leave half a ring.
    let draft = path.with_extension(format!("new-{}", hex(&random::<8>())));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked
}

/// Random bytes of the system's source.
///
/// # Panics
/// When the system has none: nothing could go on safely then.
#[expect(clippy::disallowed_methods, reason = "this is the room for randomness")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap_or_else(|e| panic!("the system's random source does not answer: {e}"));
    bytes
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// 128 bits of SHA-256 of a text, in hexadecimal: tells texts apart where the texts themselves would be too long to keep.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..16])
}

/// A token that people carry: 256 random bits behind a prefix that says what it opens, with a checksum at the end, so that
/// leak scanners find it and a mistyped one is told from an unknown one without asking the database.
#[derive(Clone)]
pub struct PlainToken(SecretString);

/// What is stored of a [`PlainToken`]: SHA-256 of it. A fast hash is right here, since 256 random bits cannot be tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedToken(pub [u8; 32]);

impl HashedToken {
    /// The hash of another random text that is kept like a token: a session's id, the key of a token set.
    pub fn of(random_text: &str) -> Self {
        Self(Sha256::digest(random_text.as_bytes()).into())
    }

    /// Reads what [`to_hex`](Self::to_hex) wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// In hexadecimal: for the context that a value is sealed for, and to name a row without opening it.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }
}

/// The prefix of share links' tokens.
pub const SHARE_LINK_PREFIX: &str = "kls_";
/// Begins every device's token.
pub const DEVICE_PREFIX: &str = "kld_";

impl PlainToken {
    /// Draws one.
    pub fn generate(prefix: &str) -> Self {
        let body = URL_SAFE_NO_PAD.encode(random::<32>());
        let sum = checksum(prefix, &body);
        Self(SecretString::from(format!("{prefix}{body}{sum}")))
    }

    /// Reads one that somebody brought; `None` if it cannot be one.
    pub fn parse(prefix: &str, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(prefix)?;
        let (body, sum) = rest.split_at_checked(43)?;
        let good = checksum(prefix, body).as_bytes().ct_eq(sum.as_bytes());
        (bool::from(good)).then(|| Self(SecretString::from(text.to_owned())))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored of it.
    pub fn hash(&self) -> HashedToken {
        HashedToken::of(self.expose())
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(…)")
    }
}

fn checksum(prefix: &str, body: &str) -> String {
    let mut crc = crc32fast::Hasher::new();
    crc.update(prefix.as_bytes());
    crc.update(body.as_bytes());
    URL_SAFE_NO_PAD.encode(crc.finalize().to_be_bytes())
}

/// 256 random bits as text, for state, nonce and CSRF tokens.
pub fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub fn same_text(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_own_row_and_unchanged() {
        let ring = Keyring::generate();
        let sealed = ring.seal("cluster:1", b"secret");
        assert_eq!(ring.open("cluster:1", &sealed).unwrap(), b"secret");
        assert!(ring.open("cluster:2", &sealed).is_err());
        assert!(Keyring::generate().open("cluster:1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(ring.open("cluster:1", &bent).is_err(), "byte {at}");
        }
        assert!(ring.open("cluster:1", &sealed[..20]).is_err());
    }

    #[test]
    fn old_keys_open_and_the_first_seals() {
        let old = Keyring::generate();
        let sealed = old.seal("x", b"y");
        let both = Keyring::parse(&format!("{}{}", Keyring::generate().to_text(), old.to_text())).unwrap();
        assert_eq!(both.open("x", &sealed).unwrap(), b"y");
        assert!(old.open("x", &both.seal("x", b"z")).is_err());
    }

    #[test]
    fn a_fingerprint_is_the_keys_own_and_shows_nothing_of_it() {
        let (one, other) = (Keyring::generate(), Keyring::generate());
        assert_ne!(one.fingerprints(), other.fingerprints());
        let both = Keyring::parse(&format!("{}{}", other.to_text(), one.to_text())).unwrap();
        assert_eq!(both.fingerprints(), [other.fingerprints(), one.fingerprints()].concat());
        let renamed = Keyring { keys: vec![(7, one.keys[0].1)] };
        assert_eq!(renamed.fingerprints(), one.fingerprints(), "of the key, not of its name in the file");
        assert!(one.fingerprints()[0].len() == 16 && !hex(&one.keys[0].1).contains(&one.fingerprints()[0]));
    }

    #[test]
    fn a_token_is_read_back_and_a_mistyped_one_is_not() {
        let token = PlainToken::generate(SHARE_LINK_PREFIX);
        let again = PlainToken::parse(SHARE_LINK_PREFIX, token.expose()).unwrap();
        assert_eq!(again.hash(), token.hash());
        let text = token.expose();
        for bad in [&text[1..], &text[..text.len() - 1], &text.replace("kls_", "klx_"), "", "kls_", "kls_é"] {
            assert!(PlainToken::parse(SHARE_LINK_PREFIX, bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{token:?}"), "PlainToken(…)");
    }

    #[test]
    fn immune_22_a_missing_key_ring_is_made_private_and_an_open_one_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("kubelend-ring-{}", hex(&random::<8>())));
        fs::create_dir(&dir).unwrap();
        let path = dir.join("keyring");
        let ring = Keyring::open_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = ring.seal("a", b"b");
        assert_eq!(Keyring::open_or_create(&path).unwrap().open("a", &sealed).unwrap(), b"b");
        assert_eq!(Keyring::read(&path).unwrap().unwrap().fingerprints(), ring.fingerprints());
        assert!(Keyring::read(&dir.join("none")).unwrap().is_none() && !dir.join("none").exists());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Keyring::open_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
