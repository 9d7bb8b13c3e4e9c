//! The server itself: whether it takes writes, and what the role may do in its database.

use super::{Check, locks};
use crate::config::Settings;
use crate::job::link::Trouble;
use crate::job::setup;
use crate::ledger::{self, Outstanding};
use crate::model::{Finding, Severity, Side, TableName};
use crate::postgres::{query, shown_ident};
use crate::sink::StagingTables;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

/// What the server says of itself.
#[derive(Clone, Debug)]
pub(in crate::job) struct Server {
    pub(in crate::job) version: String,
    /// How staging tables are made there.
    pub(in crate::job) staging: StagingTables,
    may_make_temporary: bool,
    /// The role that we are to it.
    pub(super) role: String,
    /// The database.
    pub(super) database: String,
    /// Whether it is a standby, which takes no writes from anybody.
    standby: bool,
    /// Whether transactions take no writes unless they say otherwise.
    read_only: bool,
    /// Where that comes from, as pg_settings names it.
    read_only_from: Option<String>,
    /// The role that it logged in as: settings of roles are its own.
    login: String,
    /// The encoding of the database.
    encoding: String,
    /// Whether the schema of the ledger can be used or made.
    ledger: bool,
    /// Whether tables can be made in that schema, for staging where there are no temporary ones.
    stage: bool,
    /// What a run has to make of the ledger.
    pub(super) outstanding: Outstanding,
    /// The roles that may bring that ledger up to date, where this one may not.
    pub(super) owners: Vec<String>,
    /// The rights on the ledger's tables that a run needs and the role does not have: `(right, table)`.
    lacking: Vec<(String, String)>,
}

/// What the server says of itself, and what it knows of the role.
const LOOK: &str = "SELECT pg_catalog.current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS standby, \
    current_user::text AS role, session_user::text AS login, pg_catalog.current_database()::text AS database, \
    pg_catalog.current_setting('transaction_read_only') = 'on' AS read_only, \
    (SELECT source FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on') \
        AS read_only_from, \
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS temporary, \
    pg_catalog.current_setting('block_size')::int AS page, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'redis2pg') \
         THEN pg_catalog.has_schema_privilege('redis2pg', 'USAGE') \
         ELSE pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') END AS ledger, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'redis2pg') \
         THEN pg_catalog.has_schema_privilege('redis2pg', 'CREATE') \
         ELSE pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') END AS stage, \
    (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace n WHERE n.nspname = 'redis2pg') AS inside, \
    pg_catalog.current_setting('server_encoding') AS encoding";

/// The rights on the ledger's tables that the statements of a run need and the role lacks.
const LACKING: &str = "SELECT r.privilege, c.relname::text FROM \
    (VALUES ('_migrations', 'SELECT'), ('runs', 'SELECT'), ('runs', 'INSERT'), ('runs', 'UPDATE'), \
     ('shards', 'SELECT'), ('shards', 'INSERT'), ('shards', 'UPDATE'), ('batches', 'SELECT'), ('batches', 'INSERT'), \
     ('rejects', 'SELECT'), ('rejects', 'INSERT'), ('rejects', 'UPDATE'), ('rejects', 'DELETE'), ('before_images', 'SELECT'), \
     ('before_images', 'INSERT'), ('before_images', 'UPDATE'), ('run_tables', 'SELECT'), ('run_tables', 'INSERT'), ('run_tables', 'UPDATE'), \
     ('loaded', 'SELECT'), ('loaded', 'INSERT'), ('loaded', 'UPDATE'), ('loaded', 'DELETE'), \
     ('seen', 'SELECT'), ('seen', 'INSERT'), ('seen', 'DELETE'), \
     ('validations', 'SELECT'), ('validations', 'INSERT'), ('cleanups', 'SELECT'), ('cleanup_batches', 'SELECT'), \
     ('cleaned_keys', 'SELECT')) r (name, privilege) \
    JOIN pg_catalog.pg_namespace n ON n.nspname = 'redis2pg' \
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = r.name AND c.relkind = 'r' \
    WHERE NOT pg_catalog.has_table_privilege(c.oid, r.privilege) ORDER BY c.relname, r.privilege";

/// Those that the ledger and its tables belong to, and whether the role is as good as they are.
const OWNERS: &str = "SELECT pg_catalog.pg_get_userbyid(o.owner)::text FROM \
    (SELECT n.oid, n.nspowner AS owner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'redis2pg' \
       AND NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE') \
     UNION SELECT n.oid, c.relowner FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid \
       WHERE n.nspname = 'redis2pg' AND c.relkind = 'r' AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')) o \
    GROUP BY 1 ORDER BY 1";

/// Looks at the server. What is wrong with it is a finding of the check that follows, among all others.
///
/// # Errors
/// It does not answer.
pub(in crate::job) async fn look(connection: &mut PgConnection, settings: &Settings) -> Result<Server, Trouble> {
    let error = match read(connection, settings).await {
        Ok(server) => return Ok(server),
        Err(error) => error,
    };
    let ledger = TableName { schema: "redis2pg".to_owned(), table: "_migrations".to_owned() };
    let mut transaction = connection.begin().await?;
    Err(locks::given_up(&mut transaction, "the ledger", &[ledger], error).await?.into())
}

async fn read(connection: &mut PgConnection, settings: &Settings) -> Result<Server, Error> {
    let mut transaction = connection.begin().await?;
    setup::limits(settings).set(&mut transaction).await?;
    let row = query(LOOK).fetch_one(&mut *transaction).await?;
    let lacking = query(LACKING).fetch_all(&mut *transaction).await?;
    let outstanding = match row.try_get("inside")? {
        Some(true) => ledger::outstanding(&mut transaction).await?,
        Some(false) => Outstanding::Unknown,
        None => Outstanding::Everything,
    };
    let owners = query(OWNERS).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let (may_make_temporary, page): (bool, i32) = (row.try_get("temporary")?, row.try_get("page")?);
    Ok(Server {
        version: row.try_get("version")?,
        staging: StagingTables::new(may_make_temporary, page.unsigned_abs()),
        may_make_temporary,
        role: row.try_get("role")?,
        database: row.try_get("database")?,
        standby: row.try_get("standby")?,
        read_only: row.try_get("read_only")?,
        read_only_from: row.try_get("read_only_from")?,
        login: row.try_get("login")?,
        encoding: row.try_get("encoding")?,
        ledger: row.try_get("ledger")?,
        stage: row.try_get("stage")?,
        outstanding,
        owners: owners.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?,
        lacking: lacking.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Error>>()?,
    })
}

impl Server {
    /// Whether nothing can be written there at all.
    pub(super) fn takes_no_writes(&self) -> bool {
        self.standby || self.read_only
    }

    /// The role, as it stands in a statement.
    pub(super) fn shown_role(&self) -> String {
        shown_ident(&self.role)
    }

    /// That it takes no writes. A dry run needs none.
    pub(super) fn judge_writes(&self, check: Check) -> Option<Finding> {
        let (message, hint) = if self.standby {
            ("it is a read-only standby", "Point target.url / --to at the primary.".to_owned())
        } else if self.read_only {
            ("it takes no writes: transactions are read-only", self.how_to_write())
        } else {
            return None;
        };
        let mut finding = Finding::critical(Side::Postgres, "the server", message, hint);
        if check == Check::Compare {
            finding.message.push_str(". A validation makes temporary tables, and keeps what it found in the ledger");
        }
        if check == Check::Dry {
            finding.severity = Severity::Warning;
            finding.message.push_str(". A dry run writes nothing; a real one would be refused");
        }
        Some(finding)
    }

    /// What to do about transactions that are read-only, by where that was set.
    fn how_to_write(&self) -> String {
        let (login, database) = (shown_ident(&self.login), shown_ident(&self.database));
        let altered = |what: &str| format!("{what} RESET default_transaction_read_only.");
        let unset = match self.read_only_from.as_deref() {
            Some("database user") => altered(&format!("ALTER ROLE {login} IN DATABASE {database}")),
            Some("user") => altered(&format!("ALTER ROLE {login}")),
            Some("database") => altered(&format!("ALTER DATABASE {database}")),
            Some("global") => altered("ALTER ROLE ALL"),
            Some("configuration file") => {
                "ALTER SYSTEM SET default_transaction_read_only = off, or take it out of the \
                 server's configuration file; then SELECT pg_reload_conf()."
                    .to_owned()
            }
            Some("client") => "Take default_transaction_read_only out of the options in target.url / --to, or out of \
                 PGOPTIONS."
                .to_owned(),
            Some("command line" | "environment variable") => {
                "The server was started with default_transaction_read_only: start it without.".to_owned()
            }
            _ => "Something sets transaction_read_only for this session, such as a pooler.".to_owned(),
        };
        format!("{unset} Or point target.url / --to elsewhere.")
    }

    /// An encoding that cannot hold every text.
    pub(super) fn judge_encoding(&self) -> Option<Finding> {
        (self.encoding != "UTF8").then(|| {
            let message = format!("its encoding is {}; JSON text can hold what it cannot", self.encoding);
            let hint = "Use a database with encoding UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.";
            Finding::critical(Side::Postgres, format!("database {}", self.database), message, hint)
        })
    }

    /// What the role lacks beside its rights on the tables.
    pub(super) fn judge_ledger(&self) -> Vec<Finding> {
        let (role, database) = (self.shown_role(), shown_ident(&self.database));
        if !self.ledger {
            let message = format!("the role {role} may neither use nor create it; the ledger lives there");
            let hint = format!(
                "GRANT CREATE ON DATABASE {database} TO {role}, or let a superuser run once and then: \
                 GRANT USAGE ON SCHEMA redis2pg TO {role}."
            );
            return vec![Finding::critical(Side::Postgres, "schema redis2pg", message, hint)];
        }
        let mut findings: Vec<Finding> = self.judge_version().into_iter().chain(self.judge_stage()).collect();
        if !self.lacking.is_empty() {
            let lacking: Vec<String> =
                self.lacking.iter().map(|(privilege, table)| format!("{privilege} on {table}")).collect();
            let message = format!("the role {role} lacks rights on the ledger: {}", lacking.join(", "));
            let hint = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA redis2pg TO {role}.");
            findings.push(Finding::critical(Side::Postgres, "schema redis2pg", message, hint));
        }
        findings
    }

    /// That there is no place for staging tables.
    pub(super) fn judge_stage(&self) -> Option<Finding> {
        if self.may_make_temporary || self.stage {
            return None;
        }
        let (role, database) = (self.shown_role(), shown_ident(&self.database));
        let message = format!(
            "the role {role} may make no temporary tables, and no tables in this schema, where staging tables go then"
        );
        let hint =
            format!("GRANT TEMPORARY ON DATABASE {database} TO {role}, or GRANT CREATE ON SCHEMA redis2pg TO {role}.");
        Some(Finding::critical(Side::Postgres, "schema redis2pg", message, hint))
    }
}
