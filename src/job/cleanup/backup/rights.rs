//! What a backup takes of Redis beside what a run takes: looked at before the first key, since in the middle it would end the
//! cleanup.

use crate::mapping::Plan;
use crate::model::{Failure, RedisType, Side};
use crate::source::redis::{Permission, RedisSource};

/// What tells what a stream has beside its entries.
const STREAMS: [&str; 3] = ["time", "xinfo", "xpending"];

/// Looks whether this user may read all that a backup of the keys of these mappings keeps.
///
/// # Errors
/// It may not: the rights are named. Redis is gone.
pub(in super::super) async fn may_save(source: &RedisSource, plan: &Plan) -> Result<(), Failure> {
    if !plan.mappings().any(|(_, mapping)| mapping.wanted().types.has(RedisType::Stream)) {
        return Ok(());
    }
    let permissions = source.permissions(&STREAMS).await?;
    let refused = STREAMS.iter().zip(permissions).filter(|(_, permission)| *permission == Permission::Refused);
    let refused: Vec<&str> = refused.map(|(command, _)| *command).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let (user, named) = (source.user(), refused.join(", ").to_uppercase());
    let grants: Vec<String> = refused.iter().map(|command| format!("+{command}")).collect();
    Err(Failure::usage(
        Side::Redis,
        format!(
            "{} does not let this user run {named}: a backup of streams takes that, for their groups",
            source.display()
        ),
        format!("Grant it with ACL SETUSER {user} {}.", grants.join(" ")),
    ))
}
