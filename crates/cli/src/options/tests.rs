use super::*;
use clap::CommandFactory;

#[test]
fn the_definition_is_consistent_and_every_command_has_an_example() {
    fn walk(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("caseledger "), "{} has no example", command.get_name());
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            walk(sub);
        }
    }
    let command = Options::command();
    command.clone().debug_assert();
    walk(&command);
}

#[test]
fn examples_can_be_typed() {
    let typed = [
        "caseledger file show MRN-200377 --kind condition --kind allergy_intolerance",
        "caseledger file show a|b --as-of 2026-11-01T08:00:00Z --json",
        "caseledger --server http://h:1 --token t status",
        "caseledger audit list --person jdoe --outcome Denied --limit 500 --json",
        "caseledger audit list --receipt 0aFF --to 2026-11-01 --with-purpose btg",
        "caseledger ledger head --ledger access",
        "caseledger staff list --json",
        "caseledger staff put jdoe --name Jo --role nurse --unit 4-west --from 2024-01-01",
        "caseledger staff put jo --name Jo --on-call 4-w=2026-11-27T20:00:00Z/2026-11-28T08:00:00Z",
        "caseledger staff own-file jdoe --patient MRN-1 --reason told",
        "caseledger import fhir --source https://old-system.example exports/",
        "caseledger emergency start MRN-1 --code ovrer --for 30m --reason unconscious",
        "caseledger emergency start --unit W3 --code OVRPS",
        "caseledger emergency start MRN-1 --entry 5f --code OVRPJ",
        "caseledger incident open --title t --description d --discovered 2026-11-20 --access 12",
        "caseledger incident amend 5f --assessment risk.json --reason assessed --reopen",
        "caseledger incident close 5f --reason done --request-id r",
        "caseledger incident open --title t --description d --discovered 2026-11-20 --request-id r",
        "caseledger incident amend 5f --reason assessed --request-id r",
        "caseledger policy propose mine.cedar --reason tried --request-id r",
        "caseledger policy adopt 5f --reason tried --request-id r",
        "caseledger policy withdraw 5f --reason tried --request-id r",
        "caseledger emergency review 5f --verdict justified --text t --request-id r",
        "caseledger staff own-file jdoe --none --reason told --request-id r",
        "caseledger emergency review 5f --verdict not-justified --text curious",
        "caseledger token --role physician --role nurse --issuer-key k",
    ];
    for line in typed {
        Options::try_parse_from(line.split(' ')).unwrap();
    }
    assert!(Options::try_parse_from(["caseledger", "token", "--role", "surgeon"]).is_err());
    for wrong in [
        "caseledger file show x --as-of soon",
        "caseledger audit list --outcome foo",
        "caseledger audit list --receipt xyz",
        "caseledger audit list --with-purpose 9",
        "caseledger staff put jdoe --name Jo --on-call 4-west",
        "caseledger emergency start --code OVRER",
        "caseledger emergency start MRN-1 --unit W3 --code OVRER",
        "caseledger emergency start --unit W3 --entry 5f --code OVRER",
        "caseledger emergency start --entry 5f --code OVRER",
        "caseledger emergency start MRN-1 --code OVRER --for soon",
        "caseledger emergency review 5f --verdict justified --text=",
        "caseledger emergency list --limit 0",
        "caseledger staff list --limit 0",
        "caseledger audit list --limit 0",
        "caseledger policy try default --from 2026-11-01 --limit 0",
    ] {
        let error = Options::try_parse_from(wrong.split(' ')).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{wrong}");
    }
}
