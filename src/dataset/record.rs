//! The records: keys and JSON of documents, analyses, sessions and other keys.

use super::Options;
use super::rng::Rng;
use std::fmt::Write as _;

/// What the keys of the families begin with.
pub(super) struct Prefixes {
    pub(super) document: &'static str,
    pub(super) analysis: &'static str,
    pub(super) session: &'static str,
}

/// The prefixes of the contract reviewer.
pub(super) const PREFIXES: Prefixes = Prefixes { document: "document:", analysis: "analysis:", session: "session:" };

const KINDS: [&str; 8] =
    ["nda", "lease", "services-agreement", "licence", "supply-contract", "employment", "loan", "consulting"];
const PARTIES: [&str; 8] = [
    "Acme GmbH",
    "Northwind Ltd",
    "Café Zürich AG",
    "Contoso SA",
    "Globex",
    "Umbrella & Sons",
    "Initech",
    "Wayne \\\"LLC\\\"",
];
const EXTENSIONS: [(&str, &str); 3] = [
    ("pdf", "application/pdf"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("txt", "text/plain"),
];
const DEPARTMENTS: [&str; 5] = ["legal", "procurement", "sales", "hr", "finance"];
const LEVELS: [&str; 3] = ["low", "medium", "high"];
const CLAUSES: [&str; 8] = [
    "limitation of liability",
    "termination for convenience",
    "indemnity",
    "confidentiality",
    "governing law",
    "payment terms",
    "intellectual property",
    "data protection",
];
const SENTENCES: [&str; 8] = [
    "The clause is wider than what is usual in this market and favours the other side.",
    "Notice periods differ between the body and the annex, which invites a dispute.",
    "Liability has no cap for breaches of confidentiality; a cap should be agreed.",
    "Renewal is automatic unless notice is given ninety days before the term ends.",
    "The governing law is foreign, and the venue is not where the parties have their seat.",
    "Payment is due within fourteen days, with interest at nine points above the base rate.",
    "Assignment needs no consent, so the contract may end up with a competitor.",
    "Personal data are processed without an agreement on it; one must be signed first.",
];

/// Seconds since 1970 of the first upload: 2025-01-06T08:00:00Z. Later ones follow, some minutes apart.
const FIRST_UPLOAD: i64 = 1_736_150_400;

/// What the records of one document have in common.
pub(super) struct Document {
    index: u64,
    pub(super) id: String,
    /// Name of the file without its folder.
    pub(super) filename: String,
    pub(super) folder: String,
    /// Bytes of the file.
    pub(super) size: u64,
    extension: &'static str,
    mime: &'static str,
    uploaded: i64,
}

impl Document {
    /// The Redis key.
    pub(super) fn key(&self) -> String {
        format!("{}{}", PREFIXES.document, self.id)
    }

    /// Where the file is, below the root of all files.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.folder, self.filename)
    }
}

/// Makes records from options. Every record depends on the seed and its own number only.
pub(super) struct Generator {
    seed: u64,
    mixed: bool,
}

impl Generator {
    pub(super) fn new(options: &Options) -> Self {
        Self { seed: options.seed, mixed: options.mixed }
    }

    fn rng(&self, index: u64, family: u64) -> Rng {
        Rng::new(self.seed, index * 4 + family)
    }

    /// Document number `index`.
    pub(super) fn document(&self, index: u64) -> Document {
        let mut rng = self.rng(index, 0);
        let uuid = rng.uuid();
        // Ids that people made up: colons and other scripts are part of them.
        let id = match index % 40 {
            13 if self.mixed => format!("2025:legal:{index:07}"),
            29 if self.mixed => format!("vertrag-nr-{index:07}-ü"),
            _ => uuid.to_string(),
        };
        let kind = rng.pick(&KINDS);
        let (extension, mime) = match rng.below(10) {
            0 => EXTENSIONS[2],
            1..=3 => EXTENSIONS[1],
            _ => EXTENSIONS[0],
        };
        let uploaded = FIRST_UPLOAD + i64::try_from(index % 10_000_000).unwrap_or(0) * 7 + 1;
        Document {
            index,
            id,
            filename: format!("{kind}-{index:07}.{extension}"),
            folder: format!("contracts/2025/{:02}", 1 + rng.below(12)),
            size: 2_000 + rng.below(60_000),
            extension,
            mime,
            uploaded,
        }
    }

    /// Writes the document's JSON into `out`.
    pub(super) fn document_json(&self, document: &Document, out: &mut String) {
        let mut rng = self.rng(document.index, 1);
        out.clear();
        let Document { filename, size, extension, mime, .. } = document;
        let path = document.path();
        let _ = write!(
            out,
            r#"{{"filename":"{filename}","file_path":"{path}","file_size":{size},"upload_timestamp":"{}""#,
            timestamp(document.uploaded, rng.below(1_000_000), self.mixed && document.index.is_multiple_of(3)),
        );
        // The newer writer caches the whole row.
        if self.mixed && document.index % 4 == 1 {
            let at = timestamp(document.uploaded + 5, 0, true);
            let _ = write!(
                out,
                r#","original_filename":"Scan of {filename}","file_type":".{extension}","mime_type":"{mime}","status":"analyzed","analysis_timestamp":"{at}","created_at":"{at}","updated_at":"{at}""#,
            );
        }
        let _ = write!(
            out,
            r#","metadata":{{"department":"{}","parties":["{}","{}"],"pages":{},"language":"{}","uploaded_by":"user-{}","checksum":"{:016x}{:016x}","value_eur":{}.{:02},"tags":["{}","{}"],"confidential":{},"comment":"{}"}}}}"#,
            rng.pick(&DEPARTMENTS),
            rng.pick(&PARTIES),
            rng.pick(&PARTIES),
            1 + rng.below(80),
            rng.pick(&["en", "de", "fr"]),
            rng.below(500),
            rng.next(),
            rng.next(),
            rng.below(5_000_000),
            rng.below(100),
            rng.pick(&CLAUSES),
            rng.pick(&CLAUSES),
            rng.below(2) == 0,
            rng.pick(&SENTENCES),
        );
    }

    /// Writes the JSON of the document's analysis into `out`, and gives its key.
    pub(super) fn analysis_json(&self, document: &Document, out: &mut String) -> String {
        let mut rng = self.rng(document.index, 2);
        let key = format!("{}{}", PREFIXES.analysis, rng.uuid());
        let result = analysis_result(&mut rng);
        out.clear();
        let _ = write!(out, r#"{{"document_id":"{}","#, document.id);
        match if self.mixed { document.index % 4 } else { 0 } {
            0 => {
                let _ = write!(out, r#""analysis":{{{result}}}"#);
            }
            1 => {
                let _ = write!(out, r#""analysis_data":{{{result}}}"#);
            }
            // Encoded once more, as a JSON string.
            2 => {
                let escaped = result.replace('\\', "\\\\").replace('"', "\\\"");
                let _ = write!(out, r#""analysis_data":"{{{escaped}}}""#);
            }
            _ => out.push_str(&result),
        }
        let _ = write!(
            out,
            r#","analysis_type":"contract_review","model_used":"{}","processing_time_ms":{}}}"#,
            rng.pick(&["reviewer-large-2", "reviewer-small-1"]),
            200 + rng.below(30_000),
        );
        key
    }

    /// Writes the JSON of a session that works on the document into `out`, and gives its key.
    pub(super) fn session_json(&self, document: &Document, out: &mut String) -> String {
        let mut rng = self.rng(document.index, 3);
        let id = format!("session_{}_{}", rng.uuid(), document.uploaded);
        out.clear();
        let _ = write!(
            out,
            r#"{{"session_id":"{id}","document_id":"{}","created_at":"{}","last_accessed":"{}""#,
            document.id,
            timestamp(document.uploaded, 0, false),
            timestamp(document.uploaded + 60, rng.below(1_000_000), false),
        );
        if !self.mixed || rng.below(2) == 0 {
            let _ = write!(out, r#","user_id":"user-{}""#, rng.below(500));
        }
        out.push('}');
        format!("{}{id}", PREFIXES.session)
    }

    /// A key outside the three families, with its value.
    pub(super) fn other(&self, index: u64) -> (String, String) {
        let mut rng = Rng::new(self.seed ^ 0x07E4, index);
        let family = rng.pick(&["cache:page", "ratelimit", "lock"]);
        (format!("{family}:{index}"), format!(r#"{{"hits":{}}}"#, rng.below(10_000)))
    }
}

/// The members of an analysis's result, without the braces around them.
fn analysis_result(rng: &mut Rng) -> String {
    let mut out = String::with_capacity(2048);
    let _ = write!(
        out,
        r#""summary":"{} {} {}","overall_risk":"{}","confidence":0.{:03},"risks":["#,
        rng.pick(&SENTENCES),
        rng.pick(&SENTENCES),
        rng.pick(&SENTENCES),
        rng.pick(&LEVELS),
        rng.below(1000),
    );
    for number in 0..4 {
        let _ = write!(
            out,
            r#"{}{{"clause":"{}","section":"{}.{}","severity":"{}","explanation":"{}"}}"#,
            if number == 0 { "" } else { "," },
            rng.pick(&CLAUSES),
            1 + rng.below(20),
            1 + rng.below(9),
            rng.pick(&LEVELS),
            rng.pick(&SENTENCES),
        );
    }
    let _ = write!(
        out,
        r#"],"recommendations":["{}","{}"],"key_points":["{}","{}"],"citations":[{{"page":{},"text":"{}"}},{{"page":{},"text":"{}"}}]"#,
        rng.pick(&SENTENCES),
        rng.pick(&SENTENCES),
        rng.pick(&SENTENCES),
        rng.pick(&SENTENCES),
        1 + rng.below(80),
        rng.pick(&SENTENCES),
        1 + rng.below(80),
        rng.pick(&SENTENCES),
    );
    out
}

/// ISO 8601, with microseconds where there are any; mostly without a zone, as the application writes it.
fn timestamp(unix_seconds: i64, micros: u64, zone: bool) -> String {
    let mut text = jiff::Timestamp::from_second(unix_seconds).unwrap_or_default().to_string();
    text.pop();
    if micros > 0 {
        let _ = write!(text, ".{micros:06}");
    }
    if zone {
        text.push_str("+00:00");
    }
    text
}
