//! Compiles `proto/` to Rust: protox parses, tonic-prost-build generates; protoc is not needed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    // tonic-prost-build does not say this for descriptors that are handed to it
    println!("cargo:rerun-if-changed={PROTO}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new([PROTO])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(files(&Path::new(PROTO).join("caseledger/v1"))?)?;
    fs::write(out.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;
    // what an `Any` holds says so by its name
    let mut named = tonic_prost_build::Config::new();
    named.enable_type_names().type_name_domain(["."], "type.googleapis.com");
    tonic_prost_build::configure()
        // the largest variants, so that a small entry or event is small in memory too
        .boxed(".caseledger.v1.ImportItem.content.entry")
        .boxed(".caseledger.v1.ImportItem.content.identity")
        .boxed(".caseledger.v1.EvidenceLeaf.content.event")
        .boxed(".caseledger.v1.EvidenceLeaf.content.access")
        .build_server(false)
        .compile_fds_with_config(compiler.file_descriptor_set(), named)?;
    // Servers apart, because what a server sends and what a client gets may be other types of the
    // same bytes (see `encoded`).
    let servers = out.join("servers");
    fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".caseledger.v1", "crate::v1")
        .extern_path(
            ".caseledger.v1.GetPatientFileResponse",
            "crate::encoded::GetPatientFileResponse",
        )
        .out_dir(servers)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Every `.proto` in the folder, so that a new file cannot be forgotten here.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path.strip_prefix(PROTO)?.to_path_buf());
        }
    }
    found.sort();
    Ok(found)
}
