/* How far a world has come along a known route through its level.

   x alone does not say it where the way goes back: to a lever, for a run-up, to a spring behind. A
   point of the route is reached by who stands there (a point of the next second), or by who is there
   in the same state, speed included (any later point): from there the rest of the route works. */
#include "host.h"

#define P world.player
#define SOON 12 /* timesteps */

static s16 near(s16 a, s16 b, s16 limit)
{
    return abs16(a - b) <= limit;
}

u8 levers_pulled(const struct Route *route)
{
    u8 pulled = 0;
    u16 i;
    for (i = 0; i < route->n_levers; i++)
        pulled += world.objects[route->levers[i]].state;
    return pulled;
}

/* The furthest point, from `reached` on, that the world is at. */
static u16 furthest_point(const struct Route *route, u16 reached)
{
    s16 x = INT(P.x), y = INT(P.y);
    s16 vx = (s16)((P.on_ground ? P.ground : P.vx) >> 8), vy = (s16)(P.on_ground ? 0 : P.vy >> 8);
    u8 levers = levers_pulled(route);
    u32 i, end = reached + SOON < route->count ? reached + SOON + 1 : route->count;
    u16 best = reached;
    for (i = reached + 1; i < end; i++) {
        const struct RoutePoint *p = &route->points[i];
        if (near(x, p->x, 20) && near(y, p->y, 24) && levers >= p->levers)
            best = i;
    }
    for (i = route->columns[(x >> 5) + 1]; i-- > route->columns[x >> 5];) {
        const struct RoutePoint *p = &route->points[route->order[i]];
        if (route->order[i] <= best)
            break;
        if (near(x, p->x, 10) && near(y, p->y, 8) && near(vx, p->vx, 192) && near(vy, p->vy, 256)
            && P.on_ground == p->on_ground && levers >= p->levers)
            return route->order[i];
    }
    return best;
}

/* Where an episode begins. */
void guide_start(const struct Route *route, struct Slot *slot)
{
    slot->reached = 0;
    if (route->count)
        slot->reached = furthest_point(route, 0);
}

/* After a timestep; returns how many points further the world has come. */
u8 guide_follow(const struct Route *route, struct Slot *slot)
{
    u16 before = slot->reached, gained;
    if (!route->count || P.dead)
        return 0;
    slot->reached = furthest_point(route, before);
    gained = slot->reached - before;
    return gained < 255 ? gained : 255;
}
