//! What a file says of itself, whichever command writes it.

use crate::backup::Header;
use crate::config::Settings;
use crate::model::Failure;
use crate::source::redis::RedisSource;

/// The header of a file with keys of these databases; and what a person should know of what it lacks, as notices.
///
/// # Errors
/// Redis is gone.
pub(in crate::job) async fn header(
    redis: &RedisSource,
    command: &str,
    sources: &[&RedisSource],
    settings: &Settings,
) -> Result<(Header, Vec<String>), Failure> {
    let untold = untold_fields(sources).await?;
    let header = Header {
        redis_version: redis.version().map(str::to_owned),
        flavour: redis.server().map(|server| server.flavour.clone()),
        databases: sources.iter().map(|source| source.database()).collect(),
        pattern: settings.run.keys.clone(),
        listed: settings.run.keys_from.is_some(),
        fields_untold: !untold.is_empty(),
        ..Header::new(command, redis.display(), jiff::Timestamp::now().to_string())
    };
    Ok((header, untold))
}

/// When fields of hashes expire, where the file will not say it although some may.
async fn untold_fields(sources: &[&RedisSource]) -> Result<Vec<String>, Failure> {
    let mut notices = Vec::new();
    for source in sources {
        let Some(why) = source.hides_field_expiry().await? else { continue };
        let which = match source.hashes_with_field_expiry().await? {
            Some(0) => continue,
            Some(hashes) => format!("has {hashes} hashes with fields that expire"),
            // A server without the command has no such fields.
            None if why.contains("unknown command") => continue,
            None => "may have hashes with fields that expire".to_owned(),
        };
        let database = source.database();
        notices.push(format!(
            "database {database} {which}: when they do is in their dumps alone, and in none of large ones: {why}"
        ));
    }
    Ok(notices)
}
