-- The contract reviewer's tables. Each is made only where it is missing; one that exists is left as it is.

-- Not by IF NOT EXISTS, which wants the right to make schemas even where this one is there.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'document_hub') THEN
        CREATE SCHEMA document_hub;
    END IF;
END
$$;

-- Keeps updated_at, unless the statement itself gave another value (a migrated row brings its own).
DO $$
BEGIN
    IF to_regproc('document_hub.touch_updated_at') IS NULL THEN
        CREATE FUNCTION document_hub.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $f$
        BEGIN
            IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
                NEW.updated_at := now();
            END IF;
            RETURN NEW;
        END
        $f$;
    END IF;

    IF to_regclass('document_hub.documents') IS NULL THEN
        CREATE TABLE document_hub.documents (
            id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            filename           varchar(255) NOT NULL,
            original_filename  varchar(255) NOT NULL,
            file_path          text NOT NULL,
            file_size          bigint NOT NULL,
            file_type          varchar(50) NOT NULL,
            mime_type          varchar(100),
            upload_timestamp   timestamptz DEFAULT now(),
            analysis_timestamp timestamptz,
            status             varchar(20) DEFAULT 'uploaded',
            metadata           jsonb,
            created_at         timestamptz DEFAULT now(),
            updated_at         timestamptz DEFAULT now()
        );
        CREATE INDEX documents_filename ON document_hub.documents (filename);
        CREATE INDEX documents_upload_timestamp ON document_hub.documents (upload_timestamp);
        CREATE INDEX documents_status ON document_hub.documents (status);
        CREATE INDEX documents_metadata ON document_hub.documents USING gin (metadata);
        CREATE TRIGGER documents_touch BEFORE UPDATE ON document_hub.documents
            FOR EACH ROW EXECUTE FUNCTION document_hub.touch_updated_at();
    END IF;

    IF to_regclass('document_hub.analysis_results') IS NULL THEN
        CREATE TABLE document_hub.analysis_results (
            id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            document_id        uuid NOT NULL REFERENCES document_hub.documents ON DELETE CASCADE,
            analysis_type      varchar(50) NOT NULL,
            analysis_data      jsonb NOT NULL,
            analysis_timestamp timestamptz DEFAULT now(),
            model_used         varchar(100),
            processing_time_ms integer,
            status             varchar(20) DEFAULT 'completed',
            metadata           jsonb,
            created_at         timestamptz DEFAULT now(),
            updated_at         timestamptz DEFAULT now()
        );
        CREATE INDEX analysis_results_document_id ON document_hub.analysis_results (document_id);
        CREATE INDEX analysis_results_type ON document_hub.analysis_results (analysis_type);
        CREATE INDEX analysis_results_timestamp ON document_hub.analysis_results (analysis_timestamp);
        CREATE INDEX analysis_results_data ON document_hub.analysis_results USING gin (analysis_data);
        CREATE TRIGGER analysis_results_touch BEFORE UPDATE ON document_hub.analysis_results
            FOR EACH ROW EXECUTE FUNCTION document_hub.touch_updated_at();
    END IF;

    IF to_regclass('document_hub.sessions') IS NULL THEN
        CREATE TABLE document_hub.sessions (
            id            text PRIMARY KEY,
            document_id   uuid,
            user_id       text,
            data          jsonb NOT NULL,
            created_at    timestamptz,
            last_accessed timestamptz,
            expires_at    timestamptz,
            metadata      jsonb
        );
    END IF;

    IF to_regclass('document_hub.audit_logs') IS NULL THEN
        CREATE TABLE document_hub.audit_logs (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id       text,
            action        text NOT NULL,
            resource_type text,
            resource_id   text,
            details       jsonb,
            created_at    timestamptz DEFAULT now()
        );
    END IF;
END
$$;
