/* Only in the library for other machines: the pictures of worlds, kept up as the worlds move. */
#include "view.h"

_Thread_local struct View *current_view;

u32 view_size(void)
{
    return sizeof(struct View);
}

void view_enter(const struct Batch *b, struct Slot *slot)
{
    current_view = (struct View *)((u8 *)slot + b->view);
}

/* Fill plane A anew, from the map around the camera. */
void view_start(void)
{
    world.n_dirty = 0;
    draw_level_start();
    current_view->behind = 0;
}

void view_moved(void)
{
    current_view->behind = 1;
}

/* What the game does for the picture of one frame. Only a shown frame needs more than plane A. */
void view_frame(const struct Batch *b, u8 shown)
{
    if (current_view->behind) {
        if (world.jolt)
            plane_jump();
        plane_follow();
        video_send();
        current_view->behind = 0;
    }
    if (shown) {
        draw_frame();
        current_view->clock = b->clocks[world.level] + world.frame;
    }
}

static const struct Slot *slot_of(const struct Batch *b, u32 i)
{
    return (const struct Slot *)(b->slots + b->stride * i);
}

static const struct View *view_of(const struct Batch *b, u32 i)
{
    return (const struct View *)(b->slots + b->stride * i + b->view);
}

/* The picture of every world, RGB, 224 x 320. */
void batch_draw(const struct Batch *b, u8 *out)
{
    u32 i;
    for (i = 0; i < b->count; i++)
        screen_full(view_of(b, i), slot_of(b, i)->game.zone, out + (u64)i * SCREEN_H * SCREEN_W * 3);
}

/* The picture of every world shrunk to 64 x 64. */
void batch_draw_small(const struct Batch *b, u8 *out)
{
    u32 i;
    for (i = 0; i < b->count; i++)
        screen_small(view_of(b, i), slot_of(b, i)->game.zone, out + (u64)i * 64 * 64 * 3);
}
