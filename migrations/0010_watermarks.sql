CREATE TABLE "sync_watermarks" (
	"schedule_id" uuid PRIMARY KEY NOT NULL,
	"watermark" text,
	"keys" jsonb,
	"about" text,
	"run_id" uuid,
	"run_state" jsonb,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "sync_watermarks_keys_check" CHECK ("sync_watermarks"."keys" is null or "sync_watermarks"."watermark" is not null),
	CONSTRAINT "sync_watermarks_run_check" CHECK ("sync_watermarks"."run_state" is null or "sync_watermarks"."run_id" is not null)
);
--> statement-breakpoint
ALTER TABLE "sync_watermarks" ADD CONSTRAINT "sync_watermarks_schedule_fk" FOREIGN KEY ("schedule_id") REFERENCES "public"."schedules"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
-- by hand
-- A sync rewrites its row with each page, a hundred times a second.
ALTER TABLE "sync_watermarks" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);
