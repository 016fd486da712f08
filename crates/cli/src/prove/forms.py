"""What the body of a record says by itself. check.py, beside this, compares records/N.json with it, field by field.

An opened body is the values of one form below, Access or Event, one behind the other and without names (an encoding
called postcard). How each is stored:

    number   base 128, low digits first, in the fewest bytes; so is every length
    signed   a number: 2n for n, 2n+1 for -n-1
    text     its length in bytes, then UTF-8; bytes: the same, of any bytes (shown in hex digits)
    id, hash 16 and 32 bytes (shown in hex digits); byte: one; bool: one byte, 0 or 1
    X?       a byte 0 and nothing more, or a byte 1 and an X
    X*       how many, then so many X
    A | B    the number of the one it is, from 0, then that one

A form lists `name form`; the name is that in records/N.json. There, an absent text or id is "", and of anything else
that is absent the name is left out. What stands in brackets is filed, and not shown in records/N.json.
"""
import re

ENVELOPE = 1  # the version of these forms; it stands in each record's header

FORMS = """
Access: kind AccessKind, person text?, service text, roles text*, organisation text, purpose_of_use text, reason text?,
  relationship text?, operation text, outcome Outcome, request bytes, shown_position number, shown_version_from number,
  shown_version_to number, policy_version text, deciding_ids text*, masked text*, answer_format number, count number,
  answer_digest hash, [told] text?, network text?, issuer text?, emergency_id id?, circumstances text*
AccessKind: ACCESS_KIND_SHOWN | ACCESS_KIND_DENIED | ACCESS_KIND_QUERY
Outcome: shown | denied | not-found | refused

Event: patient_registered Registered | identity_amended IdentityAmended | entry_added Added | entry_amended Amended |
  entry_retracted Retracted | [identifier_assigned] Assigned | [identifier_released] Assigned | [document_filed] Filed
Registered: identity Identity
IdentityAmended: identity Identity, changed text*, how Amendment, reason text
Added: entry_id id, entry Entry
Amended: entry_id id, entry Entry, changed text*, how Amendment, reason text
Retracted: entry_id id, reason text
Assigned: [issuer] text, [value] text, [patient] id
Filed: [id] id, [kind] byte, [author] text, [reason] text, [document] bytes
Amendment: AMENDMENT_CORRECTION | AMENDMENT_AMENDMENT | AMENDMENT_AUGMENTATION

Entry: [kind] byte, summary text, status text?, code Concept, effective Effective?, recorded_date text?,
  recorder Actor?, asserter Actor?, verifier Actor?, encounter id?, unit text?, labels Coding*, source Source?,
  [delivered] hash?, note text?, [detail] bytes, findings Finding*, overrides Override*
Finding: code text, severity Severity, field text, text text
Severity: FINDING_SEVERITY_REMARK | FINDING_SEVERITY_VIOLATION
Override: finding_code text, reason text

Identity: identifiers Identifier*, names Name*, preferred_name text?, birth_date text?, deceased Deceased?, sex text?,
  sex_at_birth text?, gender_identity Concept?, language Coding?, interpreter_needed bool?, addresses Address*,
  telecoms Contact*, unidentified bool, alias text?, confidential_telecoms Contact*, confidential_addresses Address*,
  labels Coding*, source Source?, [delivered] hash?
Identifier: issuer text, value text, use text?, kind Concept?, period Period?
Name: use text?, text text?, family text?, given text*, prefix text*, suffix text*, period Period?
Address: use text?, line text*, city text?, district text?, state text?, postal_code text?, country text?, text text?,
  period Period?
Contact: system text?, value text, use text?, rank number?, period Period?
Deceased: at text | flag yes | flag no

Coding: system text, version text?, code text, display text?
Concept: coding Coding*, text text?
Period: start text?, end text?
Effective: at text | during Period
Quantity: value text, comparator text?, unit text?, system text?, code text?
Actor: reference text, display text?
Source: system text, value text

condition: verification_status text?, category Concept*, severity Concept?, body_site Concept*, abatement Effective?
allergy_intolerance: verification_status text?, type text?, category text*, criticality text?, last_occurrence text?,
  reaction Reaction*
Reaction: substance Concept?, manifestation Concept*, severity text?, onset text?, description text?
medication_request: intent text?, priority text?, reason Concept*, reason_reference id*, dosage_instruction Dosage*,
  dispense_quantity Quantity?
Dosage: text text?, timing_text text?, as_needed bool?, route Concept?, dose Quantity?, patient_instruction text?
procedure: category Concept?, body_site Concept*, performer Actor*, reason Concept*, reason_reference id*,
  outcome Concept?
observation: category Concept*, value Value?, data_absent_reason Concept?, interpretation Concept*, body_site Concept?,
  method Concept?, reference_range Range*, component Component*, issued text?
Value: quantity Quantity | codeable_concept Concept | string text | boolean bool | integer signed | date_time text |
  period Period
Range: low Quantity?, high Quantity?, text text?
Component: code Concept, value Value?, data_absent_reason Concept?
immunization: lot_number text?, expiration_date text?, site Concept?, route Concept?, dose_quantity Quantity?,
  performer Actor*, primary_source bool?, status_reason Concept?, protocol_dose text?
encounter_detail: class Coding, priority Concept?, participant Actor*, reason Concept*, reason_reference id*,
  service_provider Actor?, location Actor*, discharge_disposition Concept?, length Quantity?
note_detail: title text?, author Actor?, text text
care_team: name text?, participant Participant*, reason Concept*, reason_reference id*, managing_organization Actor*
Participant: member Actor, role Concept?, period Period?
consent: scope Concept, performer Actor*, organization Actor*, policy_rule Concept?, provision Provision*
Provision: type text, period Period?, actor Actor*, purpose Coding*
service_request: intent text?, category Concept*, priority text?, performer_type Concept?, performer Actor*,
  body_site Concept*, location Actor*, reason Concept*, reason_reference id*
task: intent text?, priority text?, description text?, focus id?, based_on id*, owner Actor?, restriction Period?,
  reason Concept*, reason_reference id*
"""
# An entry's kind, a byte from 1 on, says which of these forms its detail has, and under which name that is shown.
KINDS = ("condition allergy_intolerance medication_request procedure observation immunization encounter_detail "
         "note_detail care_team consent service_request task").split()

def parse_forms(text):
    """{form: (whether it is one of several, [(name or "", form)])}"""
    forms = {}
    for line in re.sub(r"\n +", " ", text).split("\n"):
        form, _, parts = line.partition(": ")
        if not form:
            continue
        forms[form] = (" | " in parts, [part.rpartition(" ")[::2] for part in re.split(r" \| |, ", parts)])
    return forms

FORMS = parse_forms(FORMS)

class Wrong(Exception):
    """Something does not match: exit code 10."""

class Newer(Exception):
    """Something that no form of this program is for: a later version of Caseledger filed it."""

def need(holds, otherwise):
    if not holds:
        raise Wrong(otherwise)

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        need(self.at <= len(self.data), "is cut off")
        return self.data[self.at - count:self.at]

    def number(self, bits):  # base 128, low digits first, in the fewest bytes
        value, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            byte = self.take(1)[0]
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            need(value >> bits == 0 and (byte or shift == 7), "has a number that is too large, or in another spelling")
        return value

    def flag(self):
        byte = self.take(1)[0]
        need(byte < 2, "has a byte that should be 0 or 1")
        return byte == 1

ABSENT = object()

PRIMITIVES = {
    "number": lambda at: at.number(64), "text": lambda at: at.take(at.number(32)).decode("utf-8"),
    "signed": lambda at: (lambda n: -(n >> 1) - 1 if n & 1 else n >> 1)(at.number(32)),
    "bytes": lambda at: at.take(at.number(32)).hex(), "id": lambda at: at.take(16).hex(),
    "hash": lambda at: at.take(32).hex(), "byte": lambda at: at.take(1)[0], "bool": Reader.flag,
    "yes": lambda at: True, "no": lambda at: False}

def value_of(form, at):
    """The next value, as records/N.json shows it."""
    if form.endswith("?"):
        return value_of(form[:-1], at) if at.flag() else "" if form in ("text?", "id?") else ABSENT
    if form.endswith("*"):
        return [value_of(form[:-1], at) for _ in range(at.number(32))]
    if form in PRIMITIVES:
        return PRIMITIVES[form](at)
    several, fields = FORMS[form]
    if several:
        which = at.number(32)
        if which >= len(fields):
            raise Newer(f"choice {which} of {form}")
        name, of = fields[which]
        if not name:  # a choice without more
            return of
        fields = [(name, of)]
    found = {name: value_of(of, at) for name, of in fields}
    if form == "Entry":
        kind = found["[kind]"]
        if not 1 <= kind <= len(KINDS):
            raise Newer(f"kind {kind} of entries")
        found[KINDS[kind - 1]] = whole(KINDS[kind - 1], bytes.fromhex(found["[detail]"]))
    return {name: value for name, value in found.items() if value is not ABSENT and name[0] != "["}

def whole(form, data):
    """What all of these bytes say in this form."""
    at = Reader(data)
    try:
        value = value_of(form, at)
    except UnicodeDecodeError:
        raise Wrong(f"its body has a text that is not UTF-8, so it is no {form}")
    need(at.at == len(data), f"its body goes on behind the end of a {form}")
    return value

def differences(filed, given, where=""):
    """What is otherwise in `given`, each as a text with the field's name."""
    if isinstance(filed, dict) and isinstance(given, dict):
        inner = [(f"{where}.{name}".lstrip("."), filed.get(name, ABSENT), given.get(name, ABSENT))
                 for name in [*filed, *(name for name in given if name not in filed)]]
    elif isinstance(filed, list) and isinstance(given, list) and len(filed) == len(given):
        inner = [(f"{where}[{i}]", *pair) for i, pair in enumerate(zip(filed, given))]
    else:  # the types too, for to Python 1 and 1.0 and true are equal
        return [] if type(filed) is type(given) and filed == given else [
            f"{where or 'all of it'} (filed: {brief(filed)}; here: {brief(given)})"]
    return [text for name, *pair in inner for text in differences(*pair, name)]

def brief(value):
    text = "nothing" if value is ABSENT else f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:60] + "..."
