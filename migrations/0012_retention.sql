CREATE TABLE "retention_state" (
	"id" smallint PRIMARY KEY NOT NULL,
	"next_schedule_id" uuid,
	CONSTRAINT "retention_state_one_row_check" CHECK ("retention_state"."id" = 1)
);
--> statement-breakpoint
CREATE INDEX "runs_failed_idx" ON "runs" USING btree ("schedule_id","id") WHERE finished_at is not null and error is not null;--> statement-breakpoint
-- by hand
INSERT INTO "retention_state" ("id") VALUES (1);--> statement-breakpoint
-- One row, rewritten with every slice of the walk.
ALTER TABLE "retention_state" SET (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
