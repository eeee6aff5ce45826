CREATE TABLE "dispatch_state" (
	"id" smallint PRIMARY KEY NOT NULL,
	"alive_until" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "dispatch_state_one_row_check" CHECK ("dispatch_state"."id" = 1)
);
--> statement-breakpoint
CREATE TABLE "outages" (
	"from_at" timestamp (3) with time zone PRIMARY KEY NOT NULL,
	"until_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "outages_order_check" CHECK ("outages"."from_at" < "outages"."until_at")
);
--> statement-breakpoint
CREATE TABLE "run_attempts" (
	"run_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone NOT NULL,
	"status" text NOT NULL,
	"error" jsonb,
	"worker_id" uuid,
	CONSTRAINT "run_attempts_run_id_number_pk" PRIMARY KEY("run_id","number"),
	CONSTRAINT "run_attempts_status_check" CHECK ("run_attempts"."status" in ('failed', 'timed_out', 'lost', 'handed_back'))
);
--> statement-breakpoint
CREATE TABLE "run_logs" (
	"run_id" uuid NOT NULL,
	"seq" integer NOT NULL,
	"attempt" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"level" text NOT NULL,
	"message" text NOT NULL,
	CONSTRAINT "run_logs_run_id_attempt_seq_pk" PRIMARY KEY("run_id","attempt","seq"),
	CONSTRAINT "run_logs_level_check" CHECK ("run_logs"."level" in ('debug', 'info', 'warn', 'error'))
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"schedule_id" uuid NOT NULL,
	"schedule_name" text NOT NULL,
	"schedule_version" integer NOT NULL,
	"job_type" text NOT NULL,
	"task_queue" text NOT NULL,
	"cause" text NOT NULL,
	"scheduled_for" timestamp (3) with time zone NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone,
	"attempt_started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"next_attempt_at" timestamp (3) with time zone,
	"status" text NOT NULL,
	"reason" text,
	"attempt" integer NOT NULL,
	"failures" smallint NOT NULL,
	"lost" smallint NOT NULL,
	"worker_id" uuid,
	"signal" text,
	"timeout_ms" bigint NOT NULL,
	"missed_count" integer,
	"missed_until" timestamp (3) with time zone,
	"retry" jsonb NOT NULL,
	"input" jsonb NOT NULL,
	"output" jsonb,
	"error" jsonb,
	CONSTRAINT "runs_cause_check" CHECK ("runs"."cause" in ('schedule', 'manual', 'backfill', 'catch_up', 'retry')),
	CONSTRAINT "runs_signal_check" CHECK ("runs"."signal" in ('cancel', 'stop')),
	CONSTRAINT "runs_attempt_check" CHECK ("runs"."attempt" >= 1 and "runs"."failures" >= 0 and "runs"."lost" >= 0),
	CONSTRAINT "runs_finished_check" CHECK (("runs"."finished_at" is null) = ("runs"."status" in ('queued', 'running', 'retrying'))),
	CONSTRAINT "runs_waiting_check" CHECK (("runs"."next_attempt_at" is not null) = ("runs"."status" = 'retrying')),
	CONSTRAINT "runs_status_check" CHECK (case "runs"."status"
        when 'queued' then "runs"."worker_id" is null
        when 'running' then "runs"."attempt_started_at" is not null and "runs"."started_at" is not null and "runs"."worker_id" is not null
        when 'retrying' then "runs"."started_at" is not null and "runs"."worker_id" is null
        when 'succeeded' then "runs"."started_at" is not null
        when 'failed' then "runs"."started_at" is not null and "runs"."error" is not null
        when 'timed_out' then "runs"."started_at" is not null and "runs"."error" is not null
        when 'cancelled' then true
        when 'skipped' then "runs"."started_at" is null and "runs"."reason" is not null
        when 'missed' then "runs"."started_at" is null and "runs"."reason" is not null
        else false end)
);
--> statement-breakpoint
CREATE TABLE "schedule_states" (
	"schedule_id" uuid PRIMARY KEY NOT NULL,
	"next_run_at" timestamp (3) with time zone,
	"due_at" timestamp (3) with time zone,
	"active_runs" integer DEFAULT 0 NOT NULL,
	"fired" bigint DEFAULT 0 NOT NULL,
	"succeeded" bigint DEFAULT 0 NOT NULL,
	"failed" bigint DEFAULT 0 NOT NULL,
	"skipped" bigint DEFAULT 0 NOT NULL,
	"missed" bigint DEFAULT 0 NOT NULL,
	"failures_in_a_row" integer DEFAULT 0 NOT NULL,
	"last_run_id" uuid,
	"last_status" text,
	"fault" text,
	CONSTRAINT "schedule_states_due_check" CHECK (("schedule_states"."next_run_at" is null) = ("schedule_states"."due_at" is null) and "schedule_states"."due_at" >= "schedule_states"."next_run_at"),
	CONSTRAINT "schedule_states_active_runs_check" CHECK ("schedule_states"."active_runs" >= 0)
);
--> statement-breakpoint
CREATE TABLE "schedules" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"description" text NOT NULL,
	"labels" jsonb NOT NULL,
	"trigger" jsonb NOT NULL,
	"timezone" text NOT NULL,
	"dst" jsonb NOT NULL,
	"start_at" timestamp (3) with time zone,
	"end_at" timestamp (3) with time zone,
	"max_runs" integer,
	"jitter_ms" bigint,
	"overlap" text NOT NULL,
	"catch_up" text NOT NULL,
	"catch_up_window_ms" bigint NOT NULL,
	"pause_after_failures" integer,
	"written" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"job_type" text NOT NULL,
	"job_input" jsonb NOT NULL,
	"task_queue" text NOT NULL,
	"timeout_ms" bigint NOT NULL,
	"retry" jsonb NOT NULL,
	"status" text NOT NULL,
	"note" text,
	"paused_at" timestamp (3) with time zone,
	"version" integer NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "schedules_name_key" UNIQUE("name"),
	CONSTRAINT "schedules_status_check" CHECK ("schedules"."status" in ('active', 'paused', 'stopped', 'completed')),
	CONSTRAINT "schedules_overlap_check" CHECK ("schedules"."overlap" in ('skip', 'queue_one', 'queue_all', 'cancel_running', 'allow')),
	CONSTRAINT "schedules_catch_up_check" CHECK ("schedules"."catch_up" in ('none', 'latest', 'all')),
	CONSTRAINT "schedules_paused_check" CHECK (("schedules"."status" = 'paused') = ("schedules"."paused_at" is not null)),
	CONSTRAINT "schedules_window_check" CHECK ("schedules"."start_at" <= "schedules"."end_at"),
	CONSTRAINT "schedules_max_runs_check" CHECK ("schedules"."max_runs" >= 1),
	CONSTRAINT "schedules_version_check" CHECK ("schedules"."version" >= 1)
);
--> statement-breakpoint
CREATE TABLE "workers" (
	"id" uuid PRIMARY KEY NOT NULL,
	"host" text NOT NULL,
	"pid" integer NOT NULL,
	"task_queues" text[] NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"heartbeat_at" timestamp (3) with time zone NOT NULL,
	"pool_ids" text[] NOT NULL,
	"gone_at" timestamp (3) with time zone
);
--> statement-breakpoint
ALTER TABLE "run_attempts" ADD CONSTRAINT "run_attempts_run_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_logs" ADD CONSTRAINT "run_logs_run_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "schedule_states" ADD CONSTRAINT "schedule_states_schedule_fk" FOREIGN KEY ("schedule_id") REFERENCES "public"."schedules"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "runs_schedule_idx" ON "runs" USING btree ("schedule_id","id");--> statement-breakpoint
CREATE INDEX "runs_active_idx" ON "runs" USING btree ("schedule_id","id") WHERE finished_at is null;--> statement-breakpoint
CREATE INDEX "runs_notable_idx" ON "runs" USING btree ("id") WHERE finished_at is not null and (reason is not null or error is not null);--> statement-breakpoint
CREATE INDEX "runs_retry_idx" ON "runs" USING btree ("next_attempt_at") WHERE next_attempt_at is not null;--> statement-breakpoint
CREATE INDEX "runs_signal_idx" ON "runs" USING btree ("id") WHERE signal is not null and finished_at is null;--> statement-breakpoint
CREATE INDEX "schedule_states_due_idx" ON "schedule_states" USING btree ("due_at") WHERE due_at is not null;--> statement-breakpoint
CREATE INDEX "schedules_labels_idx" ON "schedules" USING gin ("labels" jsonb_path_ops);--> statement-breakpoint
CREATE INDEX "schedules_job_type_idx" ON "schedules" USING btree ("job_type","id");--> statement-breakpoint
CREATE INDEX "schedules_inactive_idx" ON "schedules" USING btree ("id") WHERE status <> 'active';--> statement-breakpoint
CREATE INDEX "workers_live_idx" ON "workers" USING btree ("heartbeat_at") WHERE gone_at is null;