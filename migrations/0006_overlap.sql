CREATE TABLE "backfills" (
	"id" uuid PRIMARY KEY NOT NULL,
	"schedule_id" uuid NOT NULL,
	"schedule_name" text NOT NULL,
	"start_at" timestamp (3) with time zone NOT NULL,
	"end_at" timestamp (3) with time zone NOT NULL,
	"overlap" text NOT NULL,
	"total" integer NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"cancelled_at" timestamp (3) with time zone,
	CONSTRAINT "backfills_range_check" CHECK ("backfills"."start_at" <= "backfills"."end_at" and "backfills"."total" >= 1)
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "signal_reason" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "held" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "backfill_id" uuid;--> statement-breakpoint
ALTER TABLE "schedule_states" ADD COLUMN "held_runs" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "schedule_states" ADD COLUMN "held_backfills" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "schedules" ADD COLUMN "delete_after_ms" bigint;--> statement-breakpoint
CREATE INDEX "backfills_schedule_idx" ON "backfills" USING btree ("schedule_id","id");--> statement-breakpoint
CREATE INDEX "runs_backfill_idx" ON "runs" USING btree ("backfill_id","id") WHERE backfill_id is not null;--> statement-breakpoint
CREATE INDEX "schedules_delete_after_idx" ON "schedules" USING btree ("updated_at") WHERE status = 'completed' and delete_after_ms is not null;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_held_check" CHECK (not "runs"."held" or "runs"."status" in ('queued', 'skipped', 'cancelled'));--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_backfill_check" CHECK (("runs"."backfill_id" is not null) = ("runs"."cause" = 'backfill'));--> statement-breakpoint
ALTER TABLE "schedule_states" ADD CONSTRAINT "schedule_states_held_runs_check" CHECK ("schedule_states"."held_runs" = 0 or "schedule_states"."active_runs" > 0);--> statement-breakpoint
ALTER TABLE "schedule_states" ADD CONSTRAINT "schedule_states_held_backfills_check" CHECK ("schedule_states"."held_backfills" >= 0 and "schedule_states"."held_runs" >= "schedule_states"."held_backfills");