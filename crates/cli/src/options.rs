//! What can be typed.

use std::path::PathBuf;

use api::v1;
use clap::builder::{NonEmptyStringValueParser, RangedU64ValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ledger::LedgerId;

use crate::purpose;
use crate::time::{AsOf, Moment, Until};

/// Roles that a token may name, as the server's role table knows them.
const ROLES: [&str; 9] = [
    "case-manager",
    "physician",
    "nurse",
    "registrar",
    "billing",
    "compliance-officer",
    "hospital-it",
    "auditor",
    "patient-representative",
];

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused by the server, or failed
  2  wrong usage
  3  server not reachable, or the connection broke

Example:
  caseledger --token-file ~/.caseledger-token file show 'https://hospital.example/mrn|MRN-200377'";

/// Patient files, imports, the audit trail and the ledgers of Caseledger.
#[derive(Debug, Parser)]
#[command(name = "caseledger", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Address of a node.
    #[arg(long, global = true, env = "CASELEDGER_SERVER", default_value = "http://127.0.0.1:7443")]
    pub(crate) server: String,
    /// Certificate authority to trust for https, PEM file; otherwise the system's.
    #[arg(long, global = true, env = "CASELEDGER_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Client certificate to show at https, PEM file; needs --cert-key.
    #[arg(long, global = true, env = "CASELEDGER_CERT", value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key of --cert, PEM file.
    #[arg(long, global = true, env = "CASELEDGER_CERT_KEY", value_name = "FILE")]
    pub(crate) cert_key: Option<PathBuf>,
    /// Bearer token; a file is safer, other users can see arguments.
    #[arg(long, global = true, env = "CASELEDGER_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// File with the bearer token; goes before --token and CASELEDGER_TOKEN.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Why you look or file, HL7 v3 PurposeOfUse, in any case; recorded.
    ///
    /// Default: HCOMPL for `audit`, `incident`, `verify --patient`, `prove`, `emergency list` and
    /// `emergency review`, BTG for `emergency start` and `emergency end`, HOPERAT for `staff`, RECORDMGT
    /// for `import` and `settle`; for `file` and `policy` it follows from the role in the token: CAREMGT
    /// for a case manager, TREAT for physician and nurse, PATADMIN for a registrar, HPAYMT for billing,
    /// HCOMPL for compliance officer and auditor, HOPERAT for hospital IT, PATRQT for a patient's
    /// representative. With several roles there is no default.
    #[arg(long, global = true, value_name = "CODE", value_parser = purpose::code)]
    pub(crate) purpose: Option<String>,
    /// Why, in your own words; recorded. Required with the purpose BTG (see `emergency start`).
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Print JSON: field names of the .proto files, hashes in hex; errors, too, on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// File what other systems exported.
    #[command(subcommand, after_help = "Example:\n  caseledger import fhir exports/")]
    Import(Import),
    /// Read patient files.
    #[command(subcommand, after_help = "Example:\n  caseledger file show MRN-200377")]
    File(File),
    /// Read who was shown what.
    #[command(subcommand, after_help = "Example:\n  caseledger audit list --patient MRN-200377")]
    Audit(Audit),
    /// Who works here, in which units, until when.
    #[command(subcommand, after_help = "Example:\n  caseledger staff show jdoe")]
    Staff(crate::staff::options::Staff),
    /// Break the glass, and review who did.
    #[command(subcommand, after_help = "Example:\n  caseledger emergency list --state overdue")]
    Emergency(crate::emergency::Emergency),
    /// Privacy incidents, from their discovery to their closure.
    #[command(subcommand, after_help = "Example:\n  caseledger incident list")]
    Incident(crate::incident::Incident),
    /// Where the ledgers stand.
    #[command(subcommand, after_help = "Example:\n  caseledger ledger head")]
    Ledger(Ledger),
    /// Check a whole ledger against a checkpoint, believing nothing of the server.
    ///
    /// Reads every header, link, version, commitment and tile, and who was admitted by whom, and compares
    /// them with the newest checkpoint, if the policy accepts that, and with one that you kept. It opens
    /// no sealed bodies and needs no keys. From a node, entries are for compliance officers and auditors,
    /// and reading them is recorded.
    ///
    /// With --patient, one patient: that what the node shows is on file under a checkpoint, that nothing
    /// was left out, that every body is what its header says and opens with its key, and that the
    /// patient file shown is what follows from its records, as the node decodes them. For compliance
    /// officers.
    #[command(after_help = "\
Exit codes: 0 intact; 10 tampered with or damaged; 11 forked from, or behind, the kept checkpoint, or
older than --max-age; 12 not all of it could be read; 2 wrong usage, another ledger's
policy or checkpoint, or a spoilt one.

Example:
  caseledger verify --policy records.policy --checkpoint last-year.checkpoint \\
    http://127.0.0.1:7080/records.0.0/9f31...
  caseledger verify --policy records.policy --patient 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10")]
    Verify(crate::verify::options::Verify),
    /// Make a package of evidence that anybody can check, with nothing of ours installed.
    ///
    /// Everything that a ledger holds about a patient, or one record, with the keys of these records
    /// alone, or every header between two positions; all that leads to a signed checkpoint; and a script
    /// that checks it. It is checked here first. Making one is recorded. For compliance officers; of
    /// --ledger access for auditors, too.
    #[command(after_help = "\
Exit codes: 0 made; 10 what the node gave does not match (nothing is made); 1 refused or failed;
2 wrong usage; 3 server not reachable.

Example:
  caseledger prove 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --policy records.policy -o evidence.zip")]
    Prove(crate::prove::options::Prove),
    /// Cosign checkpoints for an office that does not run the nodes.
    #[command(
        subcommand,
        after_help = "Example:\n  caseledger witness key --name compliance.hospital.example/w1 -o compliance.key"
    )]
    Witness(crate::witness::options::Witness),
    /// Access policies: which are in force, which were proposed, and what these would change.
    #[command(subcommand, after_help = "Example:\n  caseledger policy show")]
    Policy(crate::policy::options::Policies),
    /// How the node is; exit code 1 unless it serves every ledger.
    #[command(after_help = "Example:\n  caseledger status --json")]
    Status,
    /// End doubt about a request whose outcome is unknown.
    #[command(after_help = "Example:\n  caseledger settle 3f6a1c0e-9d1b-4b7e-8f55-0a6f4f3e2d10")]
    Settle(Settle),
    /// Sign a token for trials with the quickstart's issuer key.
    #[command(
        after_help = "Example:\n  export CASELEDGER_TOKEN=$(caseledger token --role physician \
                            --issuer-key .caseledger/quickstart/node/keys/issuer.pem)"
    )]
    Token(Token),
}

/// Formats.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// FHIR R4: bundles, single resources (.json) and lines of resources (.ndjson).
    ///
    /// Patients go first, then encounters, then the rest. Importing the same files again changes
    /// nothing; importing them changed amends what is on file. A resource that is refused never
    /// stops the others.
    #[command(after_help = "\
Exit code 0 means that every resource got an answer, also when some were refused for what they say: read
the summary. 1: some could not be filed now, and nothing is wrong with them, run the same again; or a file
holds what is no resource, or nothing at all.

Example:
  caseledger import fhir --source https://old-system.example exports/")]
    Fhir(ImportFhir),
}

/// What to import.
#[derive(Debug, Args)]
pub(crate) struct ImportFhir {
    /// Files, or folders that are searched for .json, .ndjson and .jsonl.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// URI of the system that exported them. Ids are unique only within a system, so give each its
    /// own.
    #[arg(long, value_name = "URI", default_value = "urn:caseledger:fhir")]
    pub(crate) source: String,
}

/// Reading files.
#[derive(Debug, Subcommand)]
pub(crate) enum File {
    /// The file, now or as it was.
    #[command(after_help = "\
Examples:
  caseledger file show 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10
  caseledger file show 'https://hospital.example/mrn|MRN-200377' --as-of 2026-11-01T08:00:00Z
  caseledger file show MRN-200377 --kind condition --kind allergy_intolerance")]
    Show(FileShow),
    /// What was filed, change by change.
    #[command(after_help = "Example:\n  caseledger file history MRN-200377 --from-version 5")]
    History(FileHistory),
}

/// Names a patient.
#[derive(Debug, Args)]
pub(crate) struct PatientArgument {
    /// Patient id (32 hex digits), ISSUER|NUMBER, ISSUER=NUMBER, or a number of --issuer.
    #[arg(value_name = "PATIENT")]
    pub(crate) patient: String,
    #[command(flatten)]
    pub(crate) issuer: Issuer,
}

/// Whose numbers are meant when only a number is given.
#[derive(Debug, Args)]
pub(crate) struct Issuer {
    /// Issuer of a PATIENT that is a bare number.
    #[arg(
        long,
        value_name = "URI",
        env = "CASELEDGER_ISSUER",
        default_value = "https://hospital.example/mrn"
    )]
    pub(crate) issuer: String,
}

/// What to show of a file.
#[derive(Debug, Args)]
pub(crate) struct FileShow {
    #[command(flatten)]
    pub(crate) patient: PatientArgument,
    /// Version (a number) or time (RFC 3339, or a date for its first moment in UTC).
    #[arg(long, value_name = "VERSION|TIME")]
    pub(crate) as_of: Option<AsOf>,
    /// Wait until the node has so many records: the position that a write answered with.
    #[arg(long, value_name = "POSITION")]
    pub(crate) at_least: Option<u64>,
    /// Only this kind; may be repeated.
    #[arg(long, value_enum)]
    pub(crate) kind: Vec<Kind>,
    /// List entries that were taken back, too.
    #[arg(long)]
    pub(crate) retracted: bool,
}

/// Kinds of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    Encounter,
    AllergyIntolerance,
    Condition,
    MedicationRequest,
    Procedure,
    Observation,
    Immunization,
    Note,
    CareTeam,
    Consent,
    ServiceRequest,
    Task,
}

/// What to show of a history.
#[derive(Debug, Args)]
pub(crate) struct FileHistory {
    #[command(flatten)]
    pub(crate) patient: PatientArgument,
    /// First version to show.
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    pub(crate) from_version: u64,
}

/// Reading the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Accesses, newest first. All filters that are given must hold. Reading is itself recorded.
    #[command(after_help = "\
Examples:
  caseledger audit list --patient MRN-200377 --from 2026-11-01
  caseledger audit list --person jdoe --outcome denied --limit 500 --json")]
    List(AuditList),
    /// What an access showed, byte for byte as it was then, or nothing. For compliance officers.
    ///
    /// It is rendered anew from the records, and answered only if it has the keyed digest that the access
    /// record has of the answer. Seeing it again is itself recorded.
    #[command(after_help = "\
Exit codes: 0 shown; 10 it cannot be shown as it was; 1 refused or failed, or an access that is not
replayed at all (what trials of policies, packages of evidence and headers of records showed); 2 wrong
usage; 3 server not reachable.

Examples:
  caseledger audit replay 9f31c0de
  caseledger audit replay --position 1204 --json")]
    Replay(crate::audit::replay::AuditReplay),
}

/// Which accesses.
#[derive(Debug, Args)]
pub(crate) struct AuditList {
    /// About this patient: id (32 hex digits), ISSUER|NUMBER, ISSUER=NUMBER, or a number of
    /// --issuer.
    #[arg(long)]
    pub(crate) patient: Option<String>,
    #[command(flatten)]
    pub(crate) issuer: Issuer,
    /// By this person, as their token names them.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) person: Option<String>,
    /// Recorded at or after: RFC 3339, or a date, which means its first moment in UTC.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<Moment>,
    /// Recorded before: RFC 3339, or a date, of which the whole day in UTC still counts.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Until>,
    /// With this purpose of use; not the purpose of your own reading, which is --purpose.
    #[arg(long, value_name = "CODE", value_parser = purpose::code)]
    pub(crate) with_purpose: Option<String>,
    /// In this emergency access: its id, 32 hex digits.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) emergency: Option<String>,
    /// With this outcome.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) outcome: Option<Outcome>,
    /// The access with this receipt, or the beginning of one (hex digits). Every access that the
    /// other filters leave is looked through.
    #[arg(long, value_name = "HEX", value_parser = receipt)]
    pub(crate) receipt: Option<String>,
    /// Every access in a line of its own, as --json has them; else a query and the patients that it
    /// showed are one line.
    #[arg(long)]
    pub(crate) all: bool,
    /// At most so many lines; with --json, accesses.
    #[arg(long, default_value_t = 100, value_parser = limit())]
    pub(crate) limit: usize,
}

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outcome {
    Shown,
    Denied,
    NotFound,
    Refused,
}

/// How many to list at most; none would say nothing and be recorded all the same.
pub(crate) fn limit() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// The beginning of a receipt, in the lower case in which receipts are written.
pub(crate) fn receipt(typed: &str) -> Result<String, &'static str> {
    let fits = (1..=64).contains(&typed.len()) && typed.bytes().all(|b| b.is_ascii_hexdigit());
    if fits { Ok(typed.to_ascii_lowercase()) } else { Err("a receipt has up to 64 hex digits") }
}

/// The ledgers.
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Size, root and stream hash: equal on every node that has applied the same.
    ///
    /// Compare a head with another node's, or keep it and compare: a past that was changed shows. It
    /// is the word of this node alone; what a majority has signed is a checkpoint.
    #[command(after_help = "Example:\n  caseledger ledger head --ledger access")]
    Head(LedgerHead),
    /// The newest checkpoint that a majority of the nodes has signed.
    ///
    /// A C2SP signed note: origin, size, root, signatures. Keep it where the nodes' operators cannot
    /// change it: whoever holds one can show later that something before it was changed or taken out.
    #[command(after_help = "Example:\n  caseledger ledger checkpoint > 2026-11-26.checkpoint")]
    Checkpoint(WhichLedger),
    /// The keys that checkpoints are signed with, and how many nodes must have signed.
    ///
    /// A C2SP tlog-policy. Take it once, compare its keys with the administrators', and keep it: a
    /// policy that comes with what it is to verify proves nothing.
    #[command(after_help = "Example:\n  caseledger ledger policy --ledger access > access.policy")]
    Policy(WhichLedger),
    /// Proves that a record is under a checkpoint, as a file that can be handed on.
    ///
    /// A C2SP tlog-proof: the record's position, hashes, and the checkpoint they lead to. It waits a
    /// few seconds for a checkpoint that covers the record.
    #[command(after_help = "Example:\n  caseledger ledger proof 41 > 41.tlog-proof")]
    Proof(Proof),
}

/// One ledger.
#[derive(Debug, Args)]
pub(crate) struct WhichLedger {
    /// Changes, or who was shown what.
    #[arg(long, value_enum, default_value = "records")]
    pub(crate) ledger: LedgerKind,
}

/// Of which record.
#[derive(Debug, Args)]
pub(crate) struct Proof {
    /// The record's position, from 0: `position` in `file history --json` and `audit list --json`.
    pub(crate) position: u64,
    #[command(flatten)]
    pub(crate) which: WhichLedger,
}

/// Which ledger.
#[derive(Debug, Args)]
pub(crate) struct LedgerHead {
    /// Changes, or who was shown what; both if not given.
    #[arg(long, value_enum)]
    pub(crate) ledger: Option<LedgerKind>,
}

/// What a ledger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LedgerKind {
    Records,
    Access,
}

impl LedgerKind {
    /// As headers name it: shard 0, period 0.
    pub(crate) fn of(self) -> LedgerId {
        match self {
            Self::Records => LedgerId::RECORDS,
            Self::Access => LedgerId::ACCESS,
        }
    }

    /// As the interface names it: shard 0, period 0, for there are no others yet.
    pub(crate) fn id(self) -> v1::LedgerId {
        let kind = match self {
            Self::Records => v1::LedgerKind::Records,
            Self::Access => v1::LedgerKind::Access,
        };
        v1::LedgerId { kind: kind.into(), shard: 0, period: 0 }
    }
}

/// Which request.
#[derive(Debug, Args)]
pub(crate) struct Settle {
    /// Request id of the call whose outcome is unknown; it must have been yours.
    pub(crate) request_id: String,
}

/// What the token says.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Role; may be repeated.
    #[arg(long, required = true, value_parser = ROLES)]
    pub(crate) role: Vec<String>,
    /// Person (claim `sub`); recorded with every access.
    #[arg(long, env = "USER", default_value = "quickstart")]
    pub(crate) person: String,
    /// Service (claim `azp`).
    #[arg(long, default_value = "caseledger-cli")]
    pub(crate) service: String,
    /// Organisation (claim `organisation`).
    #[arg(long, default_value = "quickstart")]
    pub(crate) organisation: String,
    /// Hours until it expires.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=720))]
    pub(crate) hours: u32,
    /// Issuer (claim `iss`), as the node's configuration names it.
    #[arg(long, value_name = "NAME", default_value = "caseledger-quickstart")]
    pub(crate) issuer: String,
    /// The issuer's private Ed25519 key, PKCS #8 in PEM form.
    #[arg(
        long,
        value_name = "FILE",
        env = "CASELEDGER_ISSUER_KEY",
        default_value = ".caseledger/quickstart/node/keys/issuer.pem"
    )]
    pub(crate) issuer_key: PathBuf,
}

#[cfg(test)]
mod tests;
