CREATE TABLE "schedule_versions" (
	"schedule_id" uuid NOT NULL,
	"version" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"note" text,
	"status" text NOT NULL,
	"pauses" jsonb NOT NULL,
	"definition" jsonb NOT NULL,
	"superseded_at" timestamp (3) with time zone,
	CONSTRAINT "schedule_versions_schedule_id_version_pk" PRIMARY KEY("schedule_id","version"),
	CONSTRAINT "schedule_versions_action_check" CHECK ("schedule_versions"."action" in ('created', 'updated', 'rescheduled', 'applied', 'rolled_back', 'paused', 'resumed', 'stopped', 'completed', 'reactivated', 'deleted')),
	CONSTRAINT "schedule_versions_version_check" CHECK ("schedule_versions"."version" >= 1)
);
--> statement-breakpoint
ALTER TABLE "schedules" ADD COLUMN "pauses" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
CREATE INDEX "schedule_versions_superseded_idx" ON "schedule_versions" USING btree ("superseded_at") WHERE superseded_at is not null;--> statement-breakpoint
-- by hand
-- What was paused before has one pause of its own, which the check below wants to see.
UPDATE "schedules" SET "pauses" = jsonb_build_array(jsonb_build_object(
  'labels', null, 'sinceMs', floor(extract(epoch from "paused_at") * 1000), 'actor', 'api', 'note', "note"))
WHERE "status" = 'paused';--> statement-breakpoint
ALTER TABLE "schedules" ADD CONSTRAINT "schedules_pauses_check" CHECK (("schedules"."status" = 'paused') = ("schedules"."pauses" <> '[]'::jsonb));--> statement-breakpoint
-- A definition as it is stored: every column that says what a caller wants, whatever columns there will be.
CREATE FUNCTION "schedule_definition"("stored" "schedules") RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT to_jsonb(stored) - ARRAY['id', 'status', 'note', 'paused_at', 'pauses', 'version', 'created_at', 'updated_at']
$$;--> statement-breakpoint
-- History begins with what there is.
INSERT INTO "schedule_versions" ("schedule_id", "version", "at", "actor", "action", "note", "status", "pauses", "definition")
SELECT "id", "version", "updated_at", 'carillon', CASE WHEN "version" = 1 THEN 'created' ELSE 'updated' END, "note", "status",
  "pauses", schedule_definition(s) FROM "schedules" s;--> statement-breakpoint
-- Each version of a schedule is recorded by the table itself, so that no statement that makes one can forget it. Who
-- makes it and why stands in the setting carillon.change, for the next change of the transaction only; what Carillon
-- does by itself says nothing there, and its kind is what became of the status.
CREATE FUNCTION "schedules_take_told"() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  told jsonb := nullif(current_setting('carillon.change', true), '')::jsonb;
BEGIN
  IF told IS NOT NULL THEN
    PERFORM set_config('carillon.change', '', true);
  END IF;
  RETURN coalesce(told, '{}'::jsonb);
END
$$;--> statement-breakpoint
CREATE FUNCTION "schedules_record_creation"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  told jsonb := schedules_take_told();
BEGIN
  INSERT INTO schedule_versions (schedule_id, version, at, actor, action, note, status, pauses, definition)
  SELECT m.id, m.version, m.updated_at, coalesce(told->>'actor', 'carillon'), 'created', m.note, m.status, m.pauses,
    schedule_definition(m) FROM made m;
  RETURN NULL;
END
$$;--> statement-breakpoint
CREATE FUNCTION "schedules_record_version"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  told jsonb := schedules_take_told();
BEGIN
  IF NEW.version <> OLD.version + 1 THEN
    RAISE EXCEPTION 'version % of schedule % cannot follow version %', NEW.version, NEW.id, OLD.version
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  UPDATE schedule_versions SET superseded_at = NEW.updated_at
  WHERE schedule_id = OLD.id AND version = OLD.version;
  INSERT INTO schedule_versions (schedule_id, version, at, actor, action, note, status, pauses, definition)
  VALUES (NEW.id, NEW.version, NEW.updated_at, coalesce(told->>'actor', 'carillon'),
    coalesce(told->>'action', CASE
      WHEN NEW.status = OLD.status THEN 'updated'
      WHEN NEW.status = 'active' THEN 'reactivated'
      ELSE NEW.status
    END),
    coalesce(told->>'note', NEW.note), NEW.status, NEW.pauses, schedule_definition(NEW));
  RETURN NULL;
END
$$;--> statement-breakpoint
CREATE TRIGGER "schedules_creation" AFTER INSERT ON "schedules" REFERENCING NEW TABLE AS made
  FOR EACH STATEMENT EXECUTE FUNCTION "schedules_record_creation"();--> statement-breakpoint
CREATE TRIGGER "schedules_version" AFTER UPDATE ON "schedules" FOR EACH ROW
  WHEN (NEW."version" IS DISTINCT FROM OLD."version")
  EXECUTE FUNCTION "schedules_record_version"();
