//! The other logical databases of the same server: which hold keys, and a connection to one.

use super::errors::{self, unexpected};
use super::settings::SourceSettings;
use super::target::Target;
use super::wire::Wire;
use super::{Inner, RedisSource, bytes_of, connect};
use crate::model::{Failure, Side};

impl RedisSource {
    /// The numbers of the databases that hold keys now, in ascending order.
    ///
    /// # Errors
    /// A [`Failure`] of the Redis side; a usage one where the server does not tell.
    pub async fn filled_databases(&self) -> Result<Vec<u8>, Failure> {
        if self.cluster.is_some() {
            return Ok(vec![0]);
        }
        let reply = self.ask("INFO", vec!["keyspace".into()]).await.map_err(|mut failure| {
            if errors::cause(&failure).is_some_and(errors::is_command_refused) {
                failure.hint = format!("{} Or name the databases: `databases = [0, 1]`.", failure.hint);
            }
            failure
        })?;
        let text = bytes_of(reply).ok_or_else(|| self.failure(&unexpected("INFO", "no text"), "INFO"))?;
        numbers(&String::from_utf8_lossy(&text)).map_err(|number| {
            let message = format!("database {number} of Redis holds keys, and only those up to 255 can be read");
            Failure::usage(Side::Redis, message, "Name the databases to read: `databases = [0, 1]` instead of `all`.")
        })
    }

    /// The same server with another database selected, over a connection of its own.
    ///
    /// # Errors
    /// A usage [`Failure`] where there is no such database, or the user may not select it; one of the Redis side for a
    /// server that is gone.
    pub async fn with_database(&self, number: u8) -> Result<Self, Failure> {
        if self.cluster.is_some() {
            return Err(errors::database_of_cluster(number));
        }
        let first = &self.inner;
        let settings = SourceSettings { database: Some(number), ..first.settings.clone() };
        let target = Target { database: number, ..first.target.clone() };
        let client = connect::another_database(&settings, &target, first.events.as_ref()).await?;
        let wire = Wire::new(client, false);
        if first.abilities.no_touch {
            // It did so on the first connection; where it fails the next command will say why.
            let _ = wire.send("CLIENT", vec!["NO-TOUCH".into(), "ON".into()]).await;
        }
        Ok(Self::of(Inner::new(wire, target, settings, first.abilities.clone(), first.events.clone())))
    }
}

/// The databases that an answer to INFO names.
///
/// # Errors
/// The first number that is none of a database that can be read.
fn numbers(info: &str) -> Result<Vec<u8>, String> {
    let number = |line: &str| Some(line.strip_prefix("db")?.split_once(":keys=")?.0.to_owned());
    let read = |number: String| number.parse::<u8>().map_err(|_| number);
    let mut numbers: Vec<u8> = info.lines().filter_map(number).map(read).collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn databases_are_read_from_the_keyspace() {
        let info =
            "# Keyspace\r\ndb10:keys=1,expires=0,avg_ttl=0\r\ndb2:keys=5,expires=1,avg_ttl=9\r\ndb300:keys=1\r\n";
        assert_eq!(numbers(info), Err("300".to_owned()), "it holds a key that cannot be read");
        assert_eq!(numbers(&info.replace("db300", "db255")), Ok(vec![2, 10, 255]));
        assert_eq!(numbers("# Keyspace\r\n"), Ok(Vec::new()));
    }
}
