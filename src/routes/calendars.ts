/** /calendars: named sets of time that schedules exclude or keep to. */
import { z } from 'zod';
import { invalid } from '../errors.ts';
import type { CalendarService } from '../schedules/calendar-service.ts';
import {
  calendarAnswer,
  calendarInput,
  calendarSummary,
  presentCalendar,
  presentCalendarSummary,
  toCalendarDefinition,
} from './calendar-wire.ts';
import { bodyProblems, nothing, problems } from './documented.ts';
import { calendarType } from './json-body.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { toCalendarRef, toNewName } from './schedule-name.ts';
import { zoneName } from './trigger-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['calendars'];

const calendarRef = z.object({
  name: z.string().meta({ description: 'The name of the calendar.', examples: ['cn-holidays'] }),
});

export function calendarRoutes(app: ZodApp, calendars: CalendarService): void {
  app.put(
    '/calendars/:name',
    {
      schema: {
        tags,
        operationId: 'putCalendar',
        summary: 'Create or replace a calendar',
        description:
          'Takes JSON, or iCalendar text as `text/calendar`. The schedules that name it go by the new contents when this answers.',
        consumes: ['application/json', calendarType],
        params: calendarRef,
        querystring: z.strictObject({
          timezone: zoneName.optional().describe('As `timezone` in JSON, for a body of `text/calendar`.'),
        }),
        body: calendarInput,
        response: { 200: calendarAnswer, 201: calendarAnswer, ...problems(409, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const name = toNewName(request.params.name);
      const { timezone = null } = request.query;
      if (timezone !== null && request.body.timezone !== null) {
        throw invalid('?timezone', 'Give `timezone` once, in the body or in the query.');
      }
      const definition = toCalendarDefinition(name, request.body);
      const { created, calendar } = await calendars.put({
        ...definition,
        timezone: definition.timezone ?? timezone,
      });
      if (created) reply.code(201).header('location', `/calendars/${encodeURIComponent(name)}`);
      return presentCalendar(calendar);
    },
  );

  app.get(
    '/calendars',
    {
      schema: {
        tags,
        operationId: 'listCalendars',
        summary: 'List calendars',
        description: 'Newest first, in pages, without their contents.',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(calendarSummary), ...problems(400) },
      },
    },
    async (request, reply) => {
      const page = await calendars.list(toPageRequest('calendars', request.query));
      return presentPage('calendars', page, presentCalendarSummary, request, reply);
    },
  );

  app.get(
    '/calendars/:name',
    {
      schema: {
        tags,
        operationId: 'getCalendar',
        summary: 'Read a calendar',
        description: 'With what it was written with.',
        params: calendarRef,
        response: { 200: calendarAnswer, ...problems(404) },
      },
    },
    async (request) => presentCalendar(await calendars.get(toCalendarRef(request.params.name))),
  );

  app.delete(
    '/calendars/:name',
    {
      schema: {
        tags,
        operationId: 'deleteCalendar',
        summary: 'Delete a calendar',
        description: 'Only one that no schedule names.',
        params: calendarRef,
        response: { 204: nothing, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      await calendars.remove(toCalendarRef(request.params.name));
      return reply.code(204).send(null);
    },
  );
}
