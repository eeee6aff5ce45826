CREATE TABLE "notifications" (
	"id" uuid PRIMARY KEY NOT NULL,
	"schedule_id" uuid NOT NULL,
	"schedule_name" text NOT NULL,
	"run_id" uuid,
	"kind" text NOT NULL,
	"channel" text NOT NULL,
	"receiver" text NOT NULL,
	"target" jsonb NOT NULL,
	"payload" jsonb NOT NULL,
	"status" text NOT NULL,
	"attempts" integer NOT NULL,
	"next_attempt_at" timestamp (3) with time zone,
	"last_error" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "notifications_status_check" CHECK ("notifications"."status" in ('pending', 'delivered', 'dead')),
	CONSTRAINT "notifications_channel_check" CHECK ("notifications"."channel" in ('webhook', 'email')),
	CONSTRAINT "notifications_pending_check" CHECK (("notifications"."status" = 'pending') = ("notifications"."next_attempt_at" is not null) and ("notifications"."status" = 'pending') = ("notifications"."finished_at" is null))
);
--> statement-breakpoint
CREATE TABLE "notify_events" (
	"key" uuid NOT NULL,
	"kind" text NOT NULL,
	"run_id" uuid,
	"schedule_id" uuid NOT NULL,
	"schedule_name" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"scheduled_for" timestamp (3) with time zone,
	"note" text,
	"notify" jsonb NOT NULL,
	"told_at" timestamp (3) with time zone,
	CONSTRAINT "notify_events_key_kind_pk" PRIMARY KEY("key","kind"),
	CONSTRAINT "notify_events_kind_check" CHECK ("notify_events"."kind" in ('failure', 'success', 'recovered', 'missed', 'paused'))
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "late_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "schedule_states" ADD COLUMN "notify_on" text[];--> statement-breakpoint
ALTER TABLE "schedule_states" ADD COLUMN "late_after_ms" bigint;--> statement-breakpoint
ALTER TABLE "schedules" ADD COLUMN "notify" jsonb;--> statement-breakpoint
ALTER TABLE "schedules" ADD COLUMN "late_after_ms" bigint;--> statement-breakpoint
CREATE INDEX "notifications_schedule_idx" ON "notifications" USING btree ("schedule_id","id");--> statement-breakpoint
CREATE INDEX "notifications_pending_idx" ON "notifications" USING btree ("next_attempt_at") WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX "notifications_backlog_idx" ON "notifications" USING btree ("schedule_id") WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX "notify_events_pending_idx" ON "notify_events" USING btree ("at") WHERE told_at is null;--> statement-breakpoint
CREATE INDEX "notify_events_told_idx" ON "notify_events" USING btree ("told_at") WHERE told_at is not null;--> statement-breakpoint
CREATE INDEX "runs_late_idx" ON "runs" USING btree ("late_at") WHERE late_at is not null and finished_at is null;--> statement-breakpoint
CREATE INDEX "schedule_states_late_idx" ON "schedule_states" USING btree (((next_run_at at time zone 'UTC') + late_after_ms * interval '1 millisecond')) WHERE late_after_ms is not null and next_run_at is not null;