#!/usr/bin/env python3
"""Checks an evidence package of Caseledger. Needs Python 3.8 or later, forms.py beside it and nothing else; it only reads.

    python3 check.py [FOLDER] [--policy FILE] [--checkpoint FILE] [--json]

FOLDER is the unpacked package (if not given: where this file stands). Exit codes: 0 all matches, 10 something does
not match, 12 a file is missing or unreadable, or the --checkpoint could not be compared, 2 wrong usage. What is
checked, and what it shows:

1 checkpoint.txt says how many leaves the ledger had, and one hash, the root, that depends on every bit of all of them.
  Keys in the policy signed it (Ed25519), cosigners with the time: nobody without these keys can make another. Whose
  keys count is what the policy says: give one from the hospital's administrators or a witness with --policy.
2 The checkpoint's first line, the origin, ends with the hash of the ledger's first record.
3 The leaves in the package lead to that root: none was changed, moved or left out.
4 About a patient: from the last commitment on, every leaf of the ledger is here, whoever it is about. For those before,
  the commitment leads to a map of patients that has their number and one hash over all of them in order.
5 A record's leaf is its header, with the hash of its body, which is sealed (AES-256-GCM), and of the only key that
  opens it. So a body that opens is what was filed.
6 records/N.json is what the hospital's program read in header and body N. This one reads both by itself (forms.py has
  the forms that bodies are stored in) and compares every field: none may be changed, missing, or more than was filed.

This program came with the package too: who doubts it gets it elsewhere, or reads it. It follows RFC 8032 (Ed25519),
NIST SP 800-38D (GCM), RFC 6962 (tree) and c2sp.org signed-note, tlog-checkpoint, tlog-cosignature and tlog-policy.
"""
import argparse
import base64
import datetime
import hashlib
import json
import os
import re
import sys
from collections import namedtuple
from types import SimpleNamespace

sys.dont_write_bytecode = True
try:
    from forms import ENVELOPE, Newer, Reader, Wrong, differences, need, whole
except ImportError:
    print("forms.py has to stand beside check.py, from the same place: it has the forms that bodies are stored in")
    sys.exit(12)

EVERY = 4096  # leaves 4095, 8191, ... are commitments
Key = namedtuple("Key", "name id kind public")  # kind 1 signs a text, kind 4 (a cosigner) a text with the time
Group = namedtuple("Group", "enough members")
RECORD, CONTROL, COMMITMENT = "record", "control record", "commitment"

class Missing(Exception):
    """A file is missing or unreadable, or what was asked for could not be compared: exit code 12."""

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

# ---- Ed25519, strictly: one spelling of numbers and points, no points of small order ----

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT_OF_MINUS_1 = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)

def point_add(p, q):  # points are (X, Y, Z, T): x = X/Z, y = Y/Z, x*y = T/Z
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0]), 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = (b - a) % P, (d - c) % P, (d + c) % P, (b + a) % P
    return e * f % P, g * h % P, f * g % P, e * h % P

def point_times(n, point):
    total = (0, 1, 1, 0)
    while n:
        total = point_add(total, point) if n & 1 else total
        point, n = point_add(point, point), n >> 1
    return total

def point_from(data):
    """The point that 32 bytes spell; None if they spell none, in another way, or one of small order."""
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT_OF_MINUS_1 % P
    x = x if x & 1 == sign else -x % P
    if y >= P or x * x % P != square or x & 1 != sign:
        return None
    point = (x, y, 1, x * y % P)
    return point if point_times(8, point)[0] else None

def point_bytes(point):
    x, y = (value * pow(point[2], P - 2, P) % P for value in point[:2])
    return (y | (x & 1) << 255).to_bytes(32, "little")

BASE = point_from((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def ed25519_holds(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r, s = point_from(public), signature[:32], int.from_bytes(signature[32:], "little")
    if not key or not point_from(r) or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % ORDER
    minus_key = (P - key[0], key[1], 1, P - key[3])
    return point_bytes(point_add(point_times(s, BASE), point_times(k, minus_key))) == r

# ---- AES-256-GCM ----

def aes_tables():
    """The S-box, and for each byte of a column a table that does S-box and MixColumns at once."""
    exp, log, x = [0] * 256, [0] * 256, 1
    for i in range(255):  # powers of 3 in GF(2^8)
        exp[i], log[x] = x, i
        x ^= x << 1 ^ (0x11B if x & 0x80 else 0)
    inverses = [0] + [exp[-log[a] % 255] for a in range(1, 256)]
    rotated = [a << 8 | a for a in inverses]
    sbox = [(a ^ a >> 4 ^ a >> 5 ^ a >> 6 ^ a >> 7) & 0xFF ^ 0x63 for a in rotated]
    doubled = [s << 1 ^ (0x11B if s & 0x80 else 0) for s in sbox]
    first = [d << 24 | s << 16 | s << 8 | d ^ s for s, d in zip(sbox, doubled)]
    return [sbox] + [[t >> r | t << 32 - r & 0xFFFFFFFF for t in first] for r in (0, 8, 16, 24)]

SBOX, T0, T1, T2, T3 = aes_tables()

def aes_last(a, b, c, d):
    return SBOX[a >> 24] << 24 | SBOX[b >> 16 & 255] << 16 | SBOX[c >> 8 & 255] << 8 | SBOX[d & 255]

def aes_round_keys(key):
    words = [int.from_bytes(key[i:i + 4], "big") for i in range(0, 32, 4)]
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = aes_last(*[(word << 8 | word >> 24) & 0xFFFFFFFF] * 4) ^ 1 << 23 + i // 8
        elif i % 8 == 4:
            word = aes_last(word, word, word, word)
        words.append(words[-8] ^ word)
    return words

def aes(keys, block):
    a, b, c, d = (int.from_bytes(block[i:i + 4], "big") ^ keys[i // 4] for i in (0, 4, 8, 12))
    for i in range(4, 56, 4):
        a, b, c, d = (T0[a >> 24] ^ T1[b >> 16 & 255] ^ T2[c >> 8 & 255] ^ T3[d & 255] ^ keys[i],
                      T0[b >> 24] ^ T1[c >> 16 & 255] ^ T2[d >> 8 & 255] ^ T3[a & 255] ^ keys[i + 1],
                      T0[c >> 24] ^ T1[d >> 16 & 255] ^ T2[a >> 8 & 255] ^ T3[b & 255] ^ keys[i + 2],
                      T0[d >> 24] ^ T1[a >> 16 & 255] ^ T2[b >> 8 & 255] ^ T3[c & 255] ^ keys[i + 3])
    return ((aes_last(a, b, c, d) ^ keys[56]) << 96 | (aes_last(b, c, d, a) ^ keys[57]) << 64
            | (aes_last(c, d, a, b) ^ keys[58]) << 32 | aes_last(d, a, b, c) ^ keys[59])

def times_x(value, count):  # in GCM's field, where the first bit is that of x^0
    for _ in range(count):
        value = value >> 1 ^ (0xE1 << 120 if value & 1 else 0)
    return value

SHIFTED = [times_x(byte, 8) for byte in range(256)]

def ghash(h, data):
    table, y = [0] * 256, 0  # table[b]: h times the polynomial that the byte b is
    for bit in range(8):
        table[0x80 >> bit] = times_x(h, bit)
    for b in range(256):
        table[b] = table[b & -b] ^ table[b & b - 1] if b & b - 1 else table[b]
    for i in range(0, len(data), 16):
        z = 0
        for byte in (y ^ int.from_bytes(data[i:i + 16], "big")).to_bytes(16, "little"):
            z = z >> 8 ^ SHIFTED[z & 255] ^ table[byte]
        y = z
    return y

def gcm_open(key, nonce, sealed, associated):
    """The plaintext; None if key, nonce, sealed text with its tag, and associated data do not belong together."""
    text, tag, keys = sealed[:-16], int.from_bytes(sealed[-16:], "big"), aes_round_keys(key)
    padded = associated + bytes(-len(associated) % 16) + text + bytes(-len(text) % 16)
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(text)).to_bytes(8, "big")
    counters = [nonce + count.to_bytes(4, "big") for count in range(1, 2 + (len(text) + 15) // 16)]
    if len(sealed) < 16 or ghash(aes(keys, bytes(16)), padded + lengths) ^ aes(keys, counters[0]) != tag:
        return None
    stream = b"".join(aes(keys, counter).to_bytes(16, "big") for counter in counters[1:])
    return bytes(a ^ b for a, b in zip(text, stream))

# ---- Reading: every value has one spelling ----

def read(folder, name, most):
    path = name if folder is None else os.path.join(folder, *name.split("/"))
    try:
        if not os.path.isfile(path):
            raise Missing(f"{name} is missing, or is no file")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Missing(f"{name} cannot be read: {error.strerror}")
    need(len(data) <= most, f"{name} is longer than such a file can be ({most} bytes)")
    return data

def read_text(folder, name, most):
    data = read(folder, name, most)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Wrong(f"{name} is not UTF-8 text (at byte {error.start})")

def read_json(folder, name, most):
    def once_each(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands in it twice")
        return dict(pairs)
    try:
        return json.loads(read_text(folder, name, most), object_pairs_hook=once_each)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"{name} is not JSON: {error}")

def number(text, most=2**64 - 1):
    need(re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) <= most, f"{text[:40]} is no number as it should be")
    return int(text)

def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = None
    need(data is not None and base64.b64encode(data).decode() == text, "has base64 that is none, or in another way")
    return data

def utc(micros):
    try:
        return f"{datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)} UTC"
    except OverflowError:
        return f"{micros} microseconds after 1970"

def some(values):
    values = [str(value) for value in values]
    return ", ".join(values[:10]) + (f" and {len(values) - 10} more" if len(values) > 10 else "")

# ---- Keys, signed notes, checkpoints, policies ----

def parse_key(text):  # NAME+ID+BASE64
    name, _, rest = text.partition("+")
    key_id, _, data = rest.partition("+")
    data = unbase64(data)
    need(re.fullmatch(r"[^\s+\0-\x1f]+", name) and len(data) == 33 and data[0] in (1, 4) and point_from(data[1:]),
         "has no Ed25519 key NAME+ID+BASE64")
    key = Key(name, sha256(name.encode(), b"\n", data)[:4], data[0], data[1:])
    need(key.id.hex() == key_id, "has a key whose id does not belong to it")
    return key

def parse_note(text):
    """(signed text, [(key name, key id, signature)]). The last empty line stands between them."""
    body, between, lines = text.rpartition("\n\n")
    need(between and lines.endswith("\n") and lines.count("\n") <= 100 and not re.search("[\0-\x09\x0b-\x1f]", body),
         "is no signed note, or was cut off")
    signatures = []
    for line in lines[:-1].split("\n"):
        match = re.fullmatch(r"\u2014 ([^\s+\0-\x1f]+) (\S{8,})", line)
        need(match, "has a signature line that is none")
        data = unbase64(match.group(2))
        signatures.append((match.group(1), data[:4], data[4:]))
    return body + "\n", signatures

def parse_checkpoint(text):
    lines = text[:-1].split("\n")
    need(len(lines) >= 3 and "" not in lines, "is no checkpoint: origin, size, root")
    checkpoint = SimpleNamespace(origin=lines[0], size=number(lines[1]), root=unbase64(lines[2]))
    need(len(checkpoint.root) == 32, "has a root that is not 32 bytes")
    return checkpoint

def parse_policy(text):
    # parties: name -> a witness's Key, or a Group; members: names of those in a group
    policy = SimpleNamespace(logs=[], parties={}, members=set(), quorum=None)
    for place, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                policy_line(policy, words[0], words[1:])
            except Wrong as error:
                raise Wrong(f"line {place} {error}")
    need(policy.logs and policy.quorum, "names no log, or no quorum")
    return policy

def policy_line(policy, kind, words):
    name, parties = words[0] if words else "", policy.parties
    need(kind not in ("witness", "group") or name != "none" and name not in parties, "uses a name again")
    if kind == "log" and len(words) in (1, 2):
        policy.logs.append(parse_key(name))
    elif kind == "witness" and len(words) in (2, 3):
        key = parse_key(words[1])
        need(key.kind == 4, "has a witness whose key does not cosign")
        need(all(one.public != key.public for one in witnesses(policy)),
             "has the public key of a witness above: under two names it would count twice")
        parties[name] = key
    elif kind == "group" and len(words) > 2:
        members = words[2:]
        need(len(set(members)) == len(members) and all(member in parties for member in members)
             and policy.members.isdisjoint(members),
             "has a member twice, one that is a group's already, or one that no line above names")
        policy.members.update(members)
        enough = {"any": 1, "all": len(members)}.get(words[1]) or number(words[1], len(members))
        need(enough, "asks for none of its members")
        parties[name] = Group(enough, members)
    else:
        need(kind == "quorum" and len(words) == 1 and policy.quorum is None and (name == "none" or name in parties),
             "is no log, witness or group, nor the one quorum, of a name above")
        policy.quorum = name

def witnesses(policy):
    return [party for party in policy.parties.values() if isinstance(party, Key)]

def good_signatures(text, signatures, policy):
    """{key: seconds since 1970, or 0 for kind 1} of the policy's keys. One that does not hold spoils all."""
    known, signed = set(policy.logs + witnesses(policy)), {}
    for name, key_id, data in signatures:
        for key in known:
            if (key.name, key.id) == (name, key_id):
                time, message = 0, text
                if key.kind == 4:
                    time, data = int.from_bytes(data[:8], "big"), data[8:]
                    message = f"cosignature/v1\ntime {time}\n{text}"
                need(ed25519_holds(key.public, message.encode(), data),
                     f"the signature of {name} does not hold: the text or the signature was changed")
                signed.setdefault(key, time)
    return signed

def reaches_quorum(policy, signed):
    reached = {"none": True}
    for name, party in policy.parties.items():  # a group's members stand above it
        reached[name] = party in signed if isinstance(party, Key) else (
            sum(reached[member] for member in party.members) >= party.enough)
    return reached[policy.quorum]

def need_quorum(checkpoint, policy, signed):
    need(any(key in signed and key.name == checkpoint.origin for key in policy.logs),
         f"no key that the policy has for the log {checkpoint.origin} has signed it")
    need(reaches_quorum(policy, signed), f"too few have cosigned it: the policy's quorum '{policy.quorum}' is not reached")

# ---- Leaves ----

def decode_leaf(data):
    """A record's header, or a commitment, in its one spelling."""
    at, leaf = Reader(data), SimpleNamespace(kind=None, subject=None)
    start = at.take(2)
    need(len(data) <= 512 and start in (b"\1\0", b"\1\1", b"\1\2"), "is neither a header nor a commitment of format 1")
    leaf.kind = (RECORD, CONTROL, COMMITMENT)[start[1]]
    if leaf.kind == COMMITMENT:
        leaf.ledger, leaf.position, leaf.subjects, leaf.root = at.take(5), at.number(64), at.number(64), at.take(32)
    else:
        leaf.suite, leaf.ledger, leaf.record, leaf.contribution = at.take(1)[0], at.take(5), at.take(16), at.take(32)
        leaf.index, leaf.count, leaf.subject, leaf.version = at.number(16), at.number(16), at.take(16), at.number(64)
        leaf.previous, leaf.recorded_at, leaf.node, leaf.actor = at.take(32), at.number(64), at.take(16), at.take(16)
        leaf.envelope, leaf.data_key, leaf.sealed_prefix = at.number(16), at.take(16), data[:at.at]
        leaf.key_commitment, leaf.body_length, leaf.body_hash = at.take(32), at.number(32), at.take(32)
        need(leaf.suite == (leaf.kind == RECORD) and leaf.index < leaf.count and leaf.version
             and (leaf.kind == RECORD or not any(leaf.subject + leaf.data_key + leaf.key_commitment)),
             "has fields that cannot stand together")
    need(at.at == len(data), "goes on behind its end")
    return leaf

def ledger_bytes(name):
    match = re.fullmatch(r"(records|access)\.([0-9]+)\.([0-9]+)", name)
    need(match, f"{name} is no ledger's name")
    shard, period = number(match.group(2), 65535), number(match.group(3), 65535)
    return bytes([1 + (match.group(1) == "access")]) + shard.to_bytes(2, "big") + period.to_bytes(2, "big")

# ---- Proofs ----

def node(left, right):
    return sha256(b"\1", left, right)

def middle_of(start, stop):  # the left half is the largest power of two below the whole
    return start + (1 << (stop - start - 1).bit_length() - 1)

def root_of_range(first, leaves, size, proof):
    """The root over `size` leaves of which `leaves` (hashes) are those from `first` on; `proof` has the hashes of the
    largest subtrees beside them, from left to right."""
    beside = proof[::-1]
    def root(start, stop):
        if stop <= first or first + len(leaves) <= start:
            need(beside, "3 range: the proof has too few hashes")
            return beside.pop()
        if stop - start == 1:
            return leaves[start - first]
        middle = middle_of(start, stop)
        left = root(start, middle)
        return node(left, root(middle, stop))
    found = root(0, size)
    need(not beside, "3 range: the proof has too many hashes")
    return found

def root_of_inclusion(index, start, stop, leaf, proof):
    """The root over leaves `start` to `stop` that leaf `index` leads to; `proof` has the leaf's sibling first."""
    need((stop - start == 1) == (not proof), "3 inclusion: the proof has too few hashes, or too many")
    if not proof:
        return leaf
    middle = middle_of(start, stop)
    if index < middle:
        return node(root_of_inclusion(index, start, middle, leaf, proof[:-1]), proof[-1])
    return node(proof[-1], root_of_inclusion(index, middle, stop, leaf, proof[:-1]))

def map_says(siblings, end, subject, root):
    """What the map with this root says of the subject: number of leaves, position of the last, hash over all."""
    bits, found, says = [subject[i // 8] >> 7 - i % 8 & 1 for i in range(128)], bytes(32), (0, 0, bytes(32))
    if end:
        there = [end["subject"][i // 8] >> 7 - i % 8 & 1 for i in range(128)]
        need(there[:len(siblings)] == bits[:len(siblings)], "4 map: it is shown at another place than the patient's")
        found = sha256(b"\2", end["subject"], end["count"].to_bytes(8, "big"), end["last"].to_bytes(8, "big"),
                       end["chained"])
        says = (end["count"], end["last"], end["chained"]) if end["subject"] == subject else says
    for bit, sibling in reversed(list(zip(bits, siblings))):
        found = sha256(b"\3", sibling, found) if bit else sha256(b"\3", found, sibling)
    need(found == root, "4 map: what it says of the patient does not lead to the commitment's root")
    return says

# ---- evidence.json ----

class Hex(str):
    """A regular expression of hex digits in pairs; they are read as bytes."""

HASH, SUBJECT = Hex("[0-9a-f]{64}"), Hex("[0-9a-f]{32}")
END = {"subject": SUBJECT, "count": int, "last": int, "chained": HASH}
SHAPE = {  # a tuple: may be null
    "format": "caseledger-evidence/1", "origin": ".+", "ledger": ".+", "about": dict, "first": int, "hashes": [HASH],
    "map": ({"siblings": [HASH], "end": (END,)},),
    "made_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "leaves": [{"position": int, "leaf": Hex("([0-9a-f]{2})*"), "body": (".+",), "record_key": (Hex("[0-9a-f]{88}"),),
                "content": (".+",)}]}

def shaped(value, shape, where):
    """The value, with bytes for hex, if it has this shape."""
    if isinstance(shape, tuple):
        return None if value is None else shaped(value, shape[0], where)
    if isinstance(shape, list) and isinstance(value, list):
        return [shaped(one, shape[0], f"{where}[{i}]") for i, one in enumerate(value)]
    if isinstance(shape, dict) and isinstance(value, dict):
        need(set(shape) == set(value), f"{where} has not exactly the fields {', '.join(shape)}")
        return {name: shaped(value[name], shape[name], f"{where}.{name}") for name in shape}
    if isinstance(shape, str) and isinstance(value, str) and re.fullmatch(shape, value, re.ASCII | re.DOTALL):
        return bytes.fromhex(value) if isinstance(shape, Hex) else value
    need(shape is dict or shape is int and type(value) is int and 0 <= value < 2**64, f"{where} is not as it should be")
    return value

def read_evidence(folder):
    given = read_json(folder, "evidence.json", 2**29)
    known = {name: given[name] for name in SHAPE if name in given} if isinstance(given, dict) else given
    evidence = SimpleNamespace(**shaped(known, SHAPE, "evidence.json"))
    evidence.further = sorted(set(given) - set(SHAPE))
    kinds = {"patient": SUBJECT, "position": int, "range": [int]}
    named = [name for name in kinds if isinstance(evidence.about, dict) and name in evidence.about] or ["patient"]
    about = shaped(evidence.about, {named[0]: kinds[named[0]]}, "evidence.json.about")
    evidence.patient, evidence.position, evidence.range = (about.get(name) for name in kinds)
    need(evidence.range is None or len(evidence.range) == 2, "evidence.json.about.range: not two positions")
    evidence.leaves = [SimpleNamespace(hash=sha256(b"\0", leaf["leaf"]), **leaf) for leaf in evidence.leaves]
    for entry in evidence.leaves:
        for path, own in (entry.body, "bodies/%d.bin"), (entry.content, "records/%d.json"):
            need(path in (None, own % entry.position), f"evidence.json: leaf {entry.position} has the file {path}")
    need(not evidence.map or len(evidence.map["siblings"]) <= 128, "evidence.json.map.siblings: more than 128")
    return evidence

# ---- The checks; `report` takes what they found ----

class Report:
    def __init__(self):
        self.lines, self.records, self.summary, self.facts = [], [], [], {}

    def say(self, kind, text):
        self.lines.append((kind, text))

    def attempt(self, name, function, *arguments):
        """The function's result; None and a line when something is wrong or missing."""
        try:
            return function(*arguments)
        except Wrong as error:
            self.say("WRONG", f"{name} {error}".strip())
        except (Missing, OSError) as error:
            self.say("MISSING", str(error))
        return None

    def code(self):
        kinds = [kind for kind, _ in self.lines]
        return 10 if "WRONG" in kinds else 12 if "MISSING" in kinds else 0

def check_signatures(report, note, checkpoint, policy):
    signed = good_signatures(*note, policy)
    for key, time in signed.items():
        how = "signed it as the log" if key.kind == 1 else f"cosigned it at {utc(10**6 * time)}"
        report.say("ok", f"1 signature: {key.name} (key {key.id.hex()}) {how}")
    known = [(key.name, key.id) for key in signed]
    strangers = [name for name, key_id, _ in note[1] if (name, key_id) not in known]
    if strangers:
        report.say("note", f"1 signatures: the policy has no such key, so they count for nothing: {some(strangers)}")
    absent = [key.name for key in witnesses(policy) if key not in signed]
    if absent:
        report.say("note", f"1 signatures: of the policy's witnesses these have not cosigned: {some(absent)}")
    need_quorum(checkpoint, policy, signed)
    report.say("ok", f"1 signatures: the checkpoint of {checkpoint.size} leaves is signed as the policy asks "
               f"(its quorum: {policy.quorum})")
    return {key: time for key, time in signed.items() if key.kind == 4}

def check_kept(report, path, checkpoint, policy):
    """Compares a checkpoint that somebody kept. A file that was spoilt, or is of another ledger, accuses nobody."""
    try:
        text, signatures = parse_note(read_text(None, path, 2**16))
        kept = parse_checkpoint(text)
        # Whether they suffice does not matter: a policy changes with the nodes.
        signed = good_signatures(text, signatures, policy)
        need(kept.origin == checkpoint.origin, f"is of another ledger: {kept.origin}")
        need(signed or kept.size != checkpoint.size or kept.root == checkpoint.root,
             "has as many leaves as the package's, but another root, and no key of the policy has signed it: take "
             "another copy of it, or a policy of its time")
    except Wrong as error:
        raise Missing(f"1 kept checkpoint: {error}; so it was NOT COMPARED")
    if kept.size != checkpoint.size:
        raise Missing(f"1 kept checkpoint: NOT COMPARED, for it is of {kept.size} leaves and the package's is of "
                      f"{checkpoint.size}: only the same size can be compared here. Have a node show that its ledger "
                      "continues both ('caseledger verify --checkpoint FILE', and once more with checkpoint.txt of the "
                      "package), and check the package without --checkpoint")
    need(kept.root == checkpoint.root, "has as many leaves as the package's, but another root: both cannot be true")
    report.say("ok", "1 kept checkpoint: the same size and root as the package's")

def check_origin(report, evidence, checkpoint):
    need(not checkpoint or evidence.origin == checkpoint.origin, "2 origin: another one than in checkpoint.txt")
    name, ledger, genesis = ([""] * 3 + evidence.origin.rsplit("/", 2))[-3:]
    need(name and re.fullmatch("[0-9a-f]{64}", genesis), "2 origin: it is not NAME/LEDGER/GENESIS HASH")
    need(ledger == evidence.ledger, f"2 origin: it is of ledger {ledger}, evidence.json of {evidence.ledger}")
    first = [entry.hash.hex() for entry in evidence.leaves if entry.position == 0]
    need(set(first) <= {genesis}, "2 origin: leaf 0 is not the genesis record that the origin names")
    report.say("ok", f"2 origin: the same in both; the genesis record it names, {genesis[:16]}..., is "
               + ("leaf 0 of the package" if first else "not in the package: the signers vouch for it"))

def check_inclusion(report, evidence, checkpoint):
    leaves, at, size = evidence.leaves, evidence.position, checkpoint.size
    need([entry.position for entry in leaves] == [at] and evidence.first == at and evidence.map is None,
         f"3 inclusion: it is about position {at} and has not just that leaf")
    need(at < size, f"3 inclusion: there is no position {at} in {size} leaves")
    need(root_of_inclusion(at, 0, size, leaves[0].hash, evidence.hashes) == checkpoint.root,
         f"3 inclusion: the leaf at position {at} does not lead to the root over {size} leaves")
    report.say("ok", f"3 inclusion: the leaf at position {at} is one of the checkpoint's {size}")

def check_between(report, evidence, checkpoint):
    (first, end), leaves, size = evidence.range, evidence.leaves, checkpoint.size
    need([entry.position for entry in leaves] == list(range(first, min(end, first + len(leaves) + 1)))
         and evidence.first == first and evidence.map is None,
         f"3 range: it is about positions {first} to {end - 1} and has not just these leaves, in order")
    need(first < end <= size, f"3 range: there are no positions {first} to {end - 1} in {size} leaves")
    need(root_of_range(first, [entry.hash for entry in leaves], size, evidence.hashes) == checkpoint.root,
         f"3 range: leaves {first} to {end - 1} do not lead to the checkpoint's root: one was changed, or a hash")
    report.say("ok", f"3 range: these are all leaves from {first} to {end - 1}, and they lead to the checkpoint's root")

def check_range(report, evidence, checkpoint):
    first, size = evidence.first, checkpoint.size
    positions = [entry.position for entry in evidence.leaves]
    for one, next_one in zip(positions, positions[1:]):
        need(one < next_one, f"3 range: the leaves are not in order: behind position {one} stands {next_one}")
    since = [entry for entry in evidence.leaves if entry.position >= first]
    for wanted, entry in zip(range(first, size), since):
        need(entry.position == wanted, f"3 range: where leaf {wanted} has to stand, {entry.position} stands")
    need(since and len(since) == size - first, f"3 range: of leaves {first} to {size - 1} there are {len(since)} here")
    need(root_of_range(first, [entry.hash for entry in since], size, evidence.hashes) == checkpoint.root,
         f"3 range: leaves {first} to {size - 1} do not lead to the checkpoint's root: one was changed, or a hash")
    report.say("ok", f"3 range: every leaf from {first} to {size - 1} is here, and they lead to the checkpoint's root")

def check_map(report, evidence, decoded):
    first = evidence.first
    before = [entry for entry in evidence.leaves if entry.position < first]
    if evidence.map is None:
        need(first == 0, f"4 completeness: there is no map, so all leaves from 0 on are wanted, not from {first} on")
        report.say("ok", "4 completeness: every leaf of the ledger is here")
        return
    start = decoded.get(first)
    need(start and start.kind == COMMITMENT, f"4 completeness: leaf {first} has to be a commitment and is none")
    counted, last, chained = map_says(evidence.map["siblings"], evidence.map["end"], evidence.patient, start.root)
    need(counted == len(before), f"4 completeness: the commitment at {first} counts {counted} leaves about the patient "
         f"before it, and there are {len(before)} here")
    found = bytes(32)
    for entry in before:
        found = sha256(b"\4", found, entry.position.to_bytes(8, "big"), entry.hash)
    need(found == chained, f"4 completeness: before {first} are as many leaves as the commitment counts, but others, "
         "or in another order")
    need(not before or before[-1].position == last, f"4 completeness: the last before {first} has to be at {last}")
    report.say("ok", f"4 completeness: leaves about the patient before the commitment at {first}, as it counts them: "
               f"{counted}; they are here, unchanged and in order")

def check_chain(report, ours):
    """In the ledger of records each record of a patient names the one before it, which the map does not need."""
    previous, version, time = bytes(32), 0, 0
    for entry, leaf in ours:
        need((leaf.version, leaf.previous) == (version + 1, previous) and leaf.recorded_at >= time,
             f"4 chain: the record at position {entry.position} (version {leaf.version}) does not follow {version}")
        previous, version, time = entry.hash, leaf.version, leaf.recorded_at
    if ours:
        report.say("ok", f"4 chain: versions 1 to {version}, each names the one before by its hash")

def open_body(folder, entry, leaf):
    """(the opened body or None, how far it was opened)."""
    if leaf.kind == COMMITMENT:
        need(not (entry.body or entry.record_key or entry.content), "a commitment has no body")
        return None, "has no body"
    need(not entry.record_key or sha256(b"caseledger/key-commitment/v1", entry.record_key) == leaf.key_commitment,
         "its key is not the one that its header commits to")
    if not entry.body:
        return None, "by header only"
    body = read(folder, entry.body, 256 * 1024 + 48)
    need(len(body) == leaf.body_length, f"{entry.body} has {len(body)} bytes, its header says {leaf.body_length}")
    need(sha256(body) == leaf.body_hash, f"{entry.body} was changed: its hash is not the one in its header")
    if leaf.kind == CONTROL or not entry.record_key:
        return (body, "in the clear") if leaf.kind == CONTROL else (None, "as filed, no key")
    key, nonce, associated = entry.record_key[:32], entry.record_key[32:], b"caseledger/body/v1" + leaf.sealed_prefix
    padded = gcm_open(key, nonce, body[32:], associated)  # its first 32 bytes are a salt from which the key was made
    need(padded is not None, f"{entry.body} does not open with its key")
    length = int.from_bytes(padded[:4], "little")
    need(len(padded) == max(256, 1 << (length + 3).bit_length()) and not any(padded[4 + length:]),
         f"{entry.body} is not padded as it should be")
    return padded[4:4 + length], "opened"

def micros_of(text):
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z", text) if isinstance(text, str) else None
    try:
        since = datetime.datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S") - datetime.datetime(1970, 1, 1)
    except (AttributeError, ValueError):
        return None
    return since // datetime.timedelta(microseconds=1) + int((match.group(2) or "").ljust(6, "0"))

def said_by_header(evidence, given, entry, leaf):
    """What records/N.json has to say by the header; what stands there is `given`."""
    said = {"position": entry.position, "node": leaf.node.hex(), "hash": entry.hash.hex(),
            "contribution_id": leaf.contribution.hex(), "recorded_at": given.get("recorded_at")}
    if micros_of(said["recorded_at"]) != leaf.recorded_at:
        said["recorded_at"] = utc(leaf.recorded_at)
    if evidence.ledger.startswith("records."):
        said.update(version=leaf.version, actor=leaf.actor.hex(), header=entry.leaf.hex())
    return said

def said_by_body(evidence, given, leaf, plain):
    """And by the body. Of one that is not opened nothing but that: names that stand there have to be empty."""
    access = evidence.ledger.startswith("access.")
    if plain is None:
        empty = ("", [], 0, "ACCESS_KIND_UNSPECIFIED")
        return {**{name: value for name, value in given.items() if access and value in empty}, "unreadable": True}
    if leaf.envelope > ENVELOPE:
        raise Newer(f"version {leaf.envelope} of the stored forms")
    if not access:
        return {"unreadable": False, "event": whole("Event", plain)}
    # Accesses that are about nobody's file have a subject, too; which one that is, nothing in a package shows.
    nobody = evidence.patient is None and given.get("patient_id") == ""
    return {"unreadable": False, "patient_id": "" if nobody else leaf.subject.hex(), **whole("Access", plain)}

def check_content(evidence, folder, entry, leaf, plain):
    """Compares a file in records/ with header and body; says how far that went."""
    given, how = read_json(folder, entry.content, 2**24), "compared"
    need(isinstance(given, dict) and leaf.kind == RECORD, "is not about a record")
    header = said_by_header(evidence, given, entry, leaf)
    try:
        filed = {**said_by_body(evidence, given, leaf, plain), **header}
    except Newer as newer:
        filed, how = {**given, **header}, f"{newer} is newer than this program, so the header alone was compared"
    found = differences(filed, given)
    need(not found, f"is not what was filed at position {entry.position}"
         + (", whose body no key here opens" if plain is None else "") + f": {some(found)}")
    if plain is None:
        return "it says only that its body was not opened"
    return "about nobody's file" if how == "compared" and given.get("patient_id") == "" else how

def check_bodies(report, folder, evidence, ours):
    contents = {}  # positions, by how far what records/ says was compared
    for entry, leaf in ours:
        name = f"5 record at position {entry.position}:"
        plain, state = report.attempt(name, open_body, folder, entry, leaf) or (None, "NOT AS FILED")
        report.records.append({
            "position": entry.position, "kind": leaf.kind, "version": getattr(leaf, "version", None), "state": state,
            "recorded_at": utc(leaf.recorded_at) if leaf.kind != COMMITMENT else None, "leaf_hash": entry.hash.hex()})
        if entry.content and state != "NOT AS FILED":
            how = report.attempt(f"6 {entry.content}", check_content, evidence, folder, entry, leaf, plain)
            contents.setdefault(how, []).append(entry.position)
    states = [record["state"] for record in report.records]
    if states and "NOT AS FILED" not in states:
        counts = [f"{states.count(state)} {state}" for state in sorted(set(states))]
        report.say("ok", f"5 bodies: {', '.join(counts)}")
    summarise_contents(report, contents)

def summarise_contents(report, contents):
    """Says what of records/*.json was compared with what was filed, and what was not."""
    contents.pop(None, None)  # what is wrong or missing was said
    nobody = contents.pop("about nobody's file", [])
    compared = sorted(contents.pop("compared", []) + nobody)
    if compared:
        said = f"records/*.json: every field of {len(compared)} was compared with headers and opened bodies"
        report.say("ok", f"6 contents: {said}, and is what they say: {some(compared)}")
        report.summary.append(f"{said}.")
    if nobody:
        report.say("note", "6 contents: that these are about nobody's file (no patient_id) is the hospital's word, all "
                   f"else in them was compared: records/*.json at {some(nobody)}")
    for how, positions in contents.items():
        line = f"records/*.json: NOT COMPARED at {some(positions)}: {how}"
        report.say("note", f"6 contents: {line}")
        report.summary.append(line + ".")
    report.facts.update(contents_compared=compared, contents_not_compared=contents)

def check_strays(folder, evidence):
    named = {path for entry in evidence.leaves for path in (entry.body, entry.content)}
    for part in ("bodies", "records"):
        path = os.path.join(folder, part)
        found = sorted(os.listdir(path)) if os.path.isdir(path) else []
        strays = [name for name in found if re.fullmatch(r"[0-9]+\.(bin|json)", name) and f"{part}/{name}" not in named]
        need(not strays, f"5 files: evidence.json names none of these in {part}: {some(strays)}")

def check_evidence(report, folder, evidence, checkpoint, policy, cosigned):
    report.attempt("", check_origin, report, evidence, checkpoint)
    ledger, decoded, faults = report.attempt("2 ledger:", ledger_bytes, evidence.ledger), {}, {}
    for entry in evidence.leaves:
        try:
            leaf = decode_leaf(entry.leaf)
            need(leaf.ledger == ledger, f"is of another ledger than {evidence.ledger}")
            due, at = entry.position % EVERY == EVERY - 1, getattr(leaf, "position", None)
            need(at == (entry.position if due else None), f"is a {leaf.kind} that cannot stand there")
            decoded[entry.position] = leaf
        except Wrong as error:
            faults.setdefault(str(error), []).append(entry.position)
    for fault, positions in faults.items():
        report.say("WRONG", f"3 leaf at position {some(positions)}: {fault}")
    ours = [(entry, decoded[entry.position]) for entry in evidence.leaves if entry.position in decoded and (
        evidence.patient is None or decoded[entry.position].subject == evidence.patient)]
    if checkpoint:
        report.attempt("", check_dates, policy, cosigned, decoded.values())
        proof = check_range if evidence.patient is not None else check_inclusion if evidence.range is None else check_between
        report.attempt("", proof, report, evidence, checkpoint)
    if evidence.patient is not None:
        report.attempt("", check_map, report, evidence, decoded)
        mine = {entry.position for entry, _ in ours}
        others = [entry.position for entry in evidence.leaves if entry.position not in mine and (
            entry.position < evidence.first or entry.body or entry.record_key or entry.content)]
        report.attempt("", need, not others, f"4 leaves: given as if about the patient, but not: {some(others)}")
        if evidence.ledger.startswith("records."):
            report.attempt("", check_chain, report, ours)
    check_bodies(report, folder, evidence, ours)
    report.attempt("", check_strays, folder, evidence)
    report.say("note", f"evidence.json says that it was made at {evidence.made_at}, which nobody signed"
               + (f"; nor does anything here check its fields {some(evidence.further)}" if evidence.further else ""))
    if checkpoint:
        summarise(report, evidence, checkpoint, sorted(cosigned.values()), [leaf for _, leaf in ours])

def check_dates(policy, cosigned, decoded):
    """The quorum cosigned a checkpoint after what it covers was recorded. Clocks may be 60 seconds apart."""
    latest = max((leaf.recorded_at for leaf in decoded if leaf.kind != COMMITMENT), default=0)
    since = {key: time for key, time in cosigned.items() if time + 60 >= latest // 10**6}
    need(not cosigned or since and reaches_quorum(policy, since), "3 dates: the checkpoint was cosigned at "
         f"{some(utc(10**6 * time) for time in sorted(cosigned.values()))}, yet covers what was recorded at "
         f"{utc(latest)}: it is dated back")

def summarise(report, evidence, checkpoint, times, ours):
    signed = " to ".join(utc(10**6 * time) for time in sorted({*times[:1], *times[-1:]})) or "no time that is signed"
    if evidence.range is not None:
        report.summary.append(f"The leaves from position {evidence.range[0]} to {evidence.range[1] - 1} are these, of the "
                              f"{checkpoint.size} that ledger {evidence.ledger} had, signed at {signed}.")
    elif evidence.patient is None:
        report.summary.append(f"The leaf at position {evidence.position} is one of the {checkpoint.size} that ledger "
                              f"{evidence.ledger} had, signed at {signed}.")
        report.summary += [f"It is version {leaf.version} of what is filed about {leaf.subject.hex()}, recorded at "
                           f"{utc(leaf.recorded_at)}." for leaf in ours if leaf.kind == RECORD]
    else:
        span = [utc(pick(leaf.recorded_at for leaf in ours)) for pick in (min, max)] if ours else []
        report.summary.append(f"Patient {evidence.patient.hex()}: {len(ours)} record{'s' * (len(ours) != 1)} in ledger "
                              + evidence.ledger + (f", recorded from {' to '.join(span)}." if ours else "."))
        report.summary.append(f"Nothing was left out up to {checkpoint.size} leaves, signed at {signed}.")
    shut = sum(record["state"] not in ("opened", "in the clear", "has no body") for record in report.records)
    if shut:
        report.summary.append(f"{shut} were not opened: that they were filed is shown, what they say is not.")
    report.facts.update(origin=checkpoint.origin, size=checkpoint.size, root=checkpoint.root.hex(), cosigned=times)

def check(folder, policy_file, kept_file):
    report, checkpoint, cosigned = Report(), None, None
    where = (folder, "policy.txt") if policy_file is None else (None, policy_file)
    text = report.attempt("1", read_text, *where, 2**20)
    policy = None if text is None else report.attempt("1 policy:", parse_policy, text)
    text = report.attempt("1", read_text, folder, "checkpoint.txt", 2**16)
    note = None if text is None else report.attempt("1 checkpoint.txt", parse_note, text)
    checkpoint = report.attempt("1 checkpoint.txt", parse_checkpoint, note[0]) if note else None
    if policy and checkpoint:
        cosigned = report.attempt("1 signatures:", check_signatures, report, note, checkpoint, policy)
    if policy_file is None:
        report.say("note", "1 policy.txt came with the package: compare it with one from the hospital's administrators "
                   "or a witness, or give that with --policy")
    if kept_file is not None and policy and checkpoint:
        report.attempt("1 kept checkpoint:", check_kept, report, kept_file, checkpoint, policy)
    evidence = report.attempt("", read_evidence, folder)
    if evidence:
        check_evidence(report, folder, evidence, checkpoint, policy, cosigned or {})
    return report

# ---- Printing ----

def told(report, folder):
    yield from [f"Evidence package in {folder}", ""] + [f"{kind:8} {text}" for kind, text in report.lines] + [""]
    if report.records:
        yield "  position  version  recorded at                      leaf hash         body"
    for one in report.records:
        version, time = one["version"] or "-", one["recorded_at"] or "-"
        yield f"{one['position']:10} {version:>8}  {time:32} {one['leaf_hash'][:16]}  {one['state']}"
    matches = "ALL THAT WAS COMPARED MATCHES." if report.facts.get("contents_not_compared") else "ALL MATCHES."
    verdict = {0: matches, 10: "DOES NOT MATCH:", 12: "NOT ALL OF IT COULD BE READ OR COMPARED:"}[report.code()]
    wrong = [f"- {text}" for kind, text in report.lines if kind in ("WRONG", "MISSING")]
    more = [f"- and {len(wrong) - 20} more, see above"] if len(wrong) > 20 else []
    yield from ["", verdict] + (wrong[:20] + more or report.summary)

def main(arguments=None):
    parser = argparse.ArgumentParser(
        description="Checks an evidence package of Caseledger. Exit codes: 0 all matches, 10 something does not match, "
        "12 a file is missing or unreadable, or --checkpoint could not be compared, 2 wrong usage.", allow_abbrev=False)
    parser.add_argument("folder", nargs="?", default=os.path.dirname(os.path.abspath(__file__)),
                        help="the unpacked package; if not given, where this file stands")
    parser.add_argument("--policy", metavar="FILE", help="a policy that you got elsewhere, instead of policy.txt")
    parser.add_argument("--checkpoint", metavar="FILE", help="a checkpoint that you kept, to compare")
    parser.add_argument("--json", action="store_true", help="print the result for programs")
    wanted = parser.parse_args(arguments)
    try:
        report = check(wanted.folder, wanted.policy, wanted.checkpoint)
    except Exception as error:  # for what nobody thought of: still a message and no 0
        report = Report()
        report.say("WRONG", f"the check could not go on: {error!r}")
    # What came out of a file cannot steer the terminal or add lines: only what prints is printed as it is.
    lines = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in told(report, wanted.folder)]
    if wanted.json:
        result = {0: "matches", 10: "does not match", 12: "incomplete"}[report.code()]
        summary = [] if report.code() else report.summary
        lines = [json.dumps({"result": result, "exit": report.code(), "summary": summary, "facts": report.facts,
                             "lines": report.lines, "records": report.records}, indent=1)]
    try:
        shown = "\n".join(lines) + "\n"
        sys.stdout.buffer.write(shown.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        sys.stdout.flush()
    except OSError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return report.code()

if __name__ == "__main__":
    sys.exit(main())
