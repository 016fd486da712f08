//! Messages as JSON, by their descriptors: every field of every message, also of later versions.
//!
//! Unlike protobuf's own JSON form: field names as in the .proto files, 64-bit numbers as numbers,
//! bytes as lower-case hex (they are hashes), and fields without presence are always there.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MapKey, ReflectMessage, Value,
};
use serde_json::{Map, Value as Json};

use crate::time;

/// A message of `caseledger.v1` by its name, as JSON.
pub(crate) fn of(name: &str, message: &impl Message) -> Json {
    decoded(&format!("caseledger.v1.{name}"), &message.encode_to_vec()).unwrap_or_default()
}

/// The bytes of a message by its full name, as JSON; none of a name that is not known here, and of
/// bytes that are no such message.
pub(crate) fn decoded(name: &str, bytes: &[u8]) -> Option<Json> {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    let pool =
        POOL.get_or_init(|| DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).unwrap_or_default());
    let descriptor = pool.get_message_by_name(name)?;
    DynamicMessage::decode(descriptor, bytes).ok().map(|message| object(&message))
}

fn object(message: &DynamicMessage) -> Json {
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        let time: Option<prost_types::Timestamp> = message.transcode_to().ok();
        return time.map_or(Json::Null, |time| Json::String(time::rfc3339(&time)));
    }
    let mut fields = Map::new();
    for field in message.descriptor().fields() {
        let absent = field.supports_presence() && !message.has_field(&field);
        if !absent {
            fields.insert(field.name().to_owned(), value(&field, &message.get_field(&field)));
        }
    }
    Json::Object(fields)
}

fn value(field: &FieldDescriptor, of: &Value) -> Json {
    match of {
        Value::Bool(flag) => Json::from(*flag),
        Value::I32(number) => Json::from(*number),
        Value::I64(number) => Json::from(*number),
        Value::U32(number) => Json::from(*number),
        Value::U64(number) => Json::from(*number),
        Value::F32(number) => Json::from(*number),
        Value::F64(number) => Json::from(*number),
        Value::String(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) => Json::from(hex::encode(bytes)),
        Value::EnumNumber(number) => {
            let kind = field.kind();
            let name = kind.as_enum().and_then(|kind| kind.get_value(*number));
            name.map_or_else(|| Json::from(*number), |name| Json::from(name.name()))
        }
        Value::Message(message) => object(message),
        Value::List(list) => list.iter().map(|item| value(field, item)).collect(),
        Value::Map(map) => {
            map.iter().map(|(key, item)| (key_text(key), value(field, item))).collect()
        }
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(flag) => flag.to_string(),
        MapKey::I32(number) => number.to_string(),
        MapKey::I64(number) => number.to_string(),
        MapKey::U32(number) => number.to_string(),
        MapKey::U64(number) => number.to_string(),
        MapKey::String(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::v1;
    use serde_json::json;

    #[test]
    fn a_message_shows_every_field_that_is_known() {
        let response = v1::GetHeadResponse {
            head: Some(v1::Head {
                ledger: Some(v1::LedgerId { kind: 1, shard: 0, period: 0 }),
                origin: "o".to_owned(),
                genesis: vec![0, 255],
                size: u64::MAX,
                time: Some(prost_types::Timestamp { seconds: 0, nanos: 1_000 }),
                ..Default::default()
            }),
        };
        assert_eq!(
            of("GetHeadResponse", &response),
            json!({"head": {
                "ledger": {"kind": "LEDGER_KIND_RECORDS", "shard": 0, "period": 0},
                "origin": "o", "genesis": "00ff", "size": u64::MAX, "root": "", "sequence": 0,
                "stream_hash": "", "time": "1970-01-01T00:00:00.000001Z"}})
        );
    }

    #[test]
    fn what_is_absent_is_left_out_and_lists_are_lists() {
        let entry = v1::Entry {
            labels: vec![v1::Coding { code: "R".to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let json = of("Entry", &entry);
        assert!(json.get("code").is_none() && json.get("condition").is_none());
        assert_eq!(json["labels"][0]["code"], "R");
        assert_eq!(json["findings"], json!([]));
    }
}
