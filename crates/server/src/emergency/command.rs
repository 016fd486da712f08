//! The commands, and what they print.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Subcommand;
use engine::Role;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{EmergencyError, Seal, make_key, open, seal};

/// How it is done, from the key to the end of an emergency.
pub const HELP: &str = "\
When people cannot get tokens, because their issuer is away or a node could not fetch its keys:
  1. on a machine that is no node, and once: caseledgerd emergency key emergency.pem
  2. in the configuration of every node      [emergency]
                                             name = \"https://emergency.hospital.example\"
                                             keys = [\"emergency.pub.pem\"]
                                             revoked = \"emergency-revoked.json\"   # {} at first
     and start them anew, one after the other
  3. for each person on the list: caseledgerd emergency seal --key emergency.pem …
     Print the file or keep it; write the code down; seal both and keep them in two places.
  4. when the day comes: caseledgerd emergency open FILE. The token is good for 12 hours from its first
     use at a node (`hours`). The alarm EMERGENCY_CREDENTIAL_USED names its id, the trail its holder.
  5. afterwards: put its id into the `revoked` file of every node, {\"jti\": [\"…\"]}, and seal another.
Envelopes that nobody opened end after 90 days (--days; nodes accept up to `days`, 100 if it is not said:
with more, say at least as many there, or they are refused on the day).";

/// `caseledgerd emergency`
#[derive(Debug, Subcommand)]
pub enum Emergency {
    /// Make the key that signs emergency credentials, and beside it the public key for nodes.
    #[command(after_help = "Example:
  caseledgerd emergency key emergency.pem       # and emergency.pub.pem for the nodes
Keep it on a machine that is no node, or on a stick in a safe: whoever has it can let anybody in.")]
    Key {
        /// The new file, readable by its owner only; it must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a credential for one person, seal it, and show once the code that opens it.
    #[command(after_help = "Example:
  caseledgerd emergency seal --key emergency.pem --issuer https://emergency.hospital.example \\
    --person jdoe --role physician --organisation 'St James' --to jdoe.envelope
The file and the code belong in two envelopes, in two places: it takes both.")]
    Seal {
        /// The emergency issuer's private key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Its name, as in the nodes' configuration.
        #[arg(long, value_name = "NAME")]
        issuer: String,
        /// The audience, if the nodes' configuration names another than caseledger.
        #[arg(long, value_name = "NAME")]
        audience: Option<String>,
        /// Who holds it, by their stable identifier in the hospital's directory.
        #[arg(long, value_name = "ID")]
        person: String,
        /// What they may do: case-manager, physician, nurse, registrar; may be given several times.
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// On whose behalf.
        #[arg(long, value_name = "NAME")]
        organisation: String,
        /// How long it may lie sealed, in days.
        #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=400))]
        days: u32,
        /// The envelope's file, readable by its owner only; it must not exist.
        #[arg(long = "to", value_name = "FILE")]
        envelope: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Open an envelope, and print the token that is in it.
    #[command(after_help = "Example:
  export CASELEDGER_TOKEN=$(caseledgerd emergency open jdoe.envelope)     # asks for the code
  caseledger emergency start MRN-100482 --code OVRER --reason 'found unconscious'
  caseledger file show MRN-100482 --purpose BTG --reason 'found unconscious'")]
    Open {
        /// The envelope, or its print-out typed or scanned.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does it, and returns what to print on standard output.
///
/// # Errors
/// See [`EmergencyError`].
pub fn obey(command: Emergency) -> Result<String, EmergencyError> {
    let (json, shown, text) = match command {
        Emergency::Key { file, json } => {
            let public = make_key(&file)?;
            let text = format!("made {}; give nodes {}", file.display(), public.display());
            (json, json!({ "key": file, "public": public }), text)
        }
        Emergency::Seal {
            key,
            issuer,
            audience,
            person,
            roles,
            organisation,
            days,
            envelope,
            json,
        } => {
            let wanted =
                Seal { key, issuer, audience, person, roles, organisation, days, envelope };
            let sealed = seal(&wanted)?;
            let file = wanted.envelope.display();
            let text = format!(
                "sealed {} in {file}, good until {} if nobody uses it\n\
                 the code, which is kept nowhere: {}",
                sealed.id, sealed.expires, sealed.code
            );
            let shown: Value = json!({
                "id": sealed.id, "envelope": wanted.envelope, "expires_at": sealed.expires,
                "code": sealed.code.to_string(),
            });
            (json, shown, text)
        }
        Emergency::Open { file, json } => {
            let token = open(&file, &code()?)?;
            (json, json!({ "token": token }), token)
        }
    };
    Ok(if json { shown.to_string() } else { text })
}

/// The code, as somebody types it or another program hands it over.
fn code() -> Result<Zeroizing<String>, EmergencyError> {
    let failed = |source| EmergencyError::Unreadable { file: "standard input".into(), source };
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        // Where it cannot be asked for, it can still be typed.
        let _ = write!(std::io::stderr(), "code: ");
    }
    let mut typed = Zeroizing::new(String::with_capacity(64));
    input.read_line(&mut typed).map_err(failed)?;
    Ok(typed)
}
