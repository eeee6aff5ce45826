CREATE TABLE "calendars" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"description" text NOT NULL,
	"spec" jsonb NOT NULL,
	"version" integer NOT NULL,
	"applied_version" integer NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "calendars_name_key" UNIQUE("name"),
	CONSTRAINT "calendars_version_check" CHECK ("calendars"."version" >= 1 and "calendars"."applied_version" <= "calendars"."version")
);
--> statement-breakpoint
CREATE TABLE "schedule_calendars" (
	"calendar_id" uuid NOT NULL,
	"schedule_id" uuid NOT NULL,
	CONSTRAINT "schedule_calendars_calendar_id_schedule_id_pk" PRIMARY KEY("calendar_id","schedule_id")
);
--> statement-breakpoint
ALTER TABLE "schedules" ADD COLUMN "exclusions" jsonb;--> statement-breakpoint
ALTER TABLE "schedule_calendars" ADD CONSTRAINT "schedule_calendars_calendar_fk" FOREIGN KEY ("calendar_id") REFERENCES "public"."calendars"("id") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "schedule_calendars" ADD CONSTRAINT "schedule_calendars_schedule_fk" FOREIGN KEY ("schedule_id") REFERENCES "public"."schedules"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "calendars_unapplied_idx" ON "calendars" USING btree ("id") WHERE applied_version < version;--> statement-breakpoint
CREATE INDEX "schedule_calendars_schedule_idx" ON "schedule_calendars" USING btree ("schedule_id");